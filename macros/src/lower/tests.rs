//! Tokens in, model or exact messages out.

use super::*;
use crate::args::table::Attr as Attribute;
use crate::model::{
    Buckets, Capture, Help, JobModel, LabelType, Messages, OperationModel, ParentModel, Source, Verdict,
};
use crate::stack::Entry;
use crate::tokens::Item;
use proc_macro2::Span;

/// Lowers a function under attributes, given as `name(options)`.
fn lower(attributes: &[(Attribute, &str)], item: &str) -> (Instrumented, Vec<String>) {
    let entries = attributes.iter().map(|(attr, options)| Entry {
        attr: *attr,
        span: Span::call_site(),
        arguments: options.parse().unwrap(),
        block: false,
    });
    let stack = Stack {
        entries: entries.collect(),
        ..Stack::default()
    };
    let item = Item::new(item.parse().unwrap());
    let mut diag = Diagnostics::default();
    let model = function(item.function().unwrap(), item.body().unwrap(), &stack, &mut diag);
    (model, diag.messages())
}

fn model(attributes: &[(Attribute, &str)], item: &str) -> Instrumented {
    let (model, messages) = lower(attributes, item);
    assert_eq!(messages, [""; 0]);
    model
}

fn messages(attributes: &[(Attribute, &str)], item: &str) -> Vec<String> {
    lower(attributes, item).1
}

#[test]
fn defaults_are_applied() {
    let model = model(
        &[
            (Attribute::Traced, ""),
            (Attribute::Counted, ""),
            (Attribute::Timed, ""),
        ],
        "/// Adds. \n/// More.\npub fn add(a: u8) -> Result<u8, E> { Ok(a) }",
    );
    assert_eq!(model.name, "add");
    assert!(model.fallible);
    let span = model.span.unwrap();
    assert_eq!(span.name.value(), "add");
    assert!(matches!(span.parent, ParentModel::Current) && span.fields.is_empty());
    let counter = model.counter.unwrap();
    assert!(counter.family.name.is_none() && counter.outcome && !counter.in_flight);
    assert!(matches!(counter.family.help, Help::Doc(text) if text == "Adds."));
    assert!(matches!(model.timer.unwrap().buckets, Buckets::Default));
    assert!(matches!(model.verdict, Verdict::ByType));
}

#[test]
fn observed_names_all_three() {
    let model = model(
        &[(Attribute::Observed, "name = \"checkout\", timed(name = \"own\")")],
        "fn f() {}",
    );
    assert_eq!(model.span.unwrap().name.value(), "checkout");
    assert_eq!(model.counter.unwrap().family.name.unwrap().value(), "checkout.calls");
    assert_eq!(model.timer.unwrap().family.name.unwrap().value(), "own");
}

#[test]
fn control_flow_is_read_from_signature_and_ends() {
    let flow = |item: &str| model(&[(Attribute::Traced, "")], item).flow;
    assert!(matches!(
        flow("fn f() {}"),
        Flow::Sync {
            maybe_future: false,
            ..
        }
    ));
    assert!(matches!(
        flow("fn f() -> Alias { g() }"),
        Flow::Sync { maybe_future: true, .. }
    ));
    assert!(matches!(flow("fn f() -> ! { loop {} }"), Flow::Diverges));
    assert!(matches!(flow("async fn f() {}"), Flow::Async { tied: None }));
    assert!(matches!(
        flow("#[inline] #[doc = \"\"] async fn f() {}"),
        Flow::Async { tied: None }
    ));
    assert!(matches!(flow("#[tokio::main] async fn f() {}"), Flow::AsyncKept { .. }));
    assert!(matches!(flow("#[must_use] async fn f() {}"), Flow::AsyncKept { .. }));
    assert!(matches!(flow("async fn f() -> ! { loop {} }"), Flow::AsyncDiverges));
    assert!(matches!(
        flow("fn f() -> impl Future { async {} }"),
        Flow::FutureInside(_)
    ));
    assert!(matches!(
        flow("fn f() -> impl Future { ready(()) }"),
        Flow::FutureOutside(_)
    ));
    assert!(matches!(
        flow("fn f() -> BoxFuture<()> { let x = 1; Box::pin(async move { x }) }"),
        Flow::FutureInside(_)
    ));
    assert!(matches!(
        flow("fn f() -> BoxFuture<()> { return Box::pin(async {}) }"),
        Flow::FutureInside(_)
    ));
    // What leaves before the tail does not pass it.
    let early = "fn f() -> BoxFuture<()> { if a { return b; } Box::pin(async {}) }";
    assert!(matches!(flow(early), Flow::Sync { maybe_future: true, .. }));
    // An `async` block that is stored is not returned.
    assert!(matches!(
        flow("fn f(&mut self) { self.x = async {} }"),
        Flow::Sync {
            maybe_future: false,
            ..
        }
    ));
    assert!(matches!(
        flow("#[track_caller] fn f() -> u8 { g() }"),
        Flow::Sync {
            run: Run::InPlace(None),
            ..
        }
    ));
    assert!(matches!(
        flow("#[track_caller] fn f() -> Option<u8> { g()?; None }"),
        Flow::Sync {
            run: Run::Labelled(_, None),
            ..
        }
    ));
    assert!(matches!(
        flow("#[track_caller] fn f(&self) -> impl Fn(&str) { g()?; |_| () }"),
        Flow::Sync {
            run: Run::Labelled(_, Some(_)),
            ..
        }
    ));
    // What a macro hides cannot leave a block.
    assert!(matches!(
        flow("#[track_caller] fn f(&self) -> Option<u8> { bail!() }"),
        Flow::Sync { run: Run::Closure, .. }
    ));
    // What names only its own stands in a function of its own.
    let hoisted = |item: &str| {
        matches!(
            flow(item),
            Flow::Sync {
                run: Run::Hoisted(_),
                ..
            }
        )
    };
    assert!(hoisted(
        "#[track_caller] fn f<A>(a: Vec<A>) -> Option<u8> { 'here: loop { break 'here; } bail!() }"
    ));
    assert!(!hoisted(
        "#[track_caller] fn f() -> Option<u8> { let a: Vec<T> = g(); bail!() }"
    ));
    assert!(!hoisted(
        "#[track_caller] fn f(a: &'outer u8) -> Option<u8> { bail!() }"
    ));
}

#[test]
fn closures_are_tied_in_words_of_an_item() {
    let tied = |item: &str| -> Option<[String; 3]> {
        let (Flow::Sync {
            run: Run::Tied(tie), ..
        }
        | Flow::Async { tied: Some(tie) }) = model(&[(Attribute::Traced, "")], item).flow
        else {
            return None;
        };
        Some([tie.params, tie.given, tie.returned].map(|tokens| tokens.to_string().replace(' ', "")))
    };
    let own = tied("fn f<'a, T>(t: &'a T) -> impl Fn(&str) -> &'a T + 'a { g(t) }").unwrap();
    assert_eq!(own[0], "'a,T,__Vitalsign0:Fn(&str)->&'aT");
    assert_eq!(own[1..], ["T,_", "__Vitalsign0"]);
    assert!(tied("async fn f(n: u8) -> impl Fn(&str) -> u8 { g }").is_some());
    // What only the block around knows is given at the call.
    let method = tied("fn f(&self) -> impl for<'x> FnMut(&'x Self, Vec<T>) -> &'x u8 + use<'_> { g }").unwrap();
    assert_eq!(
        method[0],
        "__Vitalsign0:?::core::marker::Sized,__Vitalsign1:,__Vitalsign2:for<'x>FnMut(&'x__Vitalsign0,__Vitalsign1)->&'xu8"
    );
    assert_eq!(method[1..], ["Self,Vec<T>,_", "__Vitalsign2"]);
    let lifetime = tied("fn f(&self) -> impl Fn(&mut Row<'_, T>) -> &'outer u8 + Send { g }").unwrap();
    assert_eq!(lifetime[1], "T,&'outeru8,_");
    let pair = tied("fn f() -> (impl Fn(&str) -> &str, (u8, impl Sized)) { g }").unwrap();
    assert_eq!(pair[2], "(__Vitalsign0,(__Vitalsign1,__Vitalsign2,),)");
    // No closure is what is returned.
    for plain in [
        "impl Iterator<Item = fn(&str)>",
        "(u8, u8)",
        "Box<dyn Fn(&str)>",
        "impl Sized",
    ] {
        assert!(tied(&format!("fn f() -> {plain} {{ g }}")).is_none(), "{plain}");
    }
}

#[test]
fn patterns_and_mut_move_into_the_body() {
    let model = model(
        &[(Attribute::Traced, "")],
        "fn f(&self, a: &str, n: u8, mut b: u8, c: String, (d, e): (u8, u8), _: u8) {}",
    );
    let signature = model.function.signature.to_token_stream().to_string();
    assert_eq!(
        signature.replace(' ', ""),
        "fnf(&self,a:&str,n:u8,b:u8,c:String,__arg5:(u8,u8),__arg6:u8)"
    );
    let sources: Vec<String> = model.rebinds.iter().map(|rebind| rebind.source.to_string()).collect();
    assert_eq!(sources, ["b", "c", "__arg5", "__arg6"]);
}

#[test]
fn fields_are_values_of_arguments_or_empty() {
    let model = model(
        &[(Attribute::Traced, "fields(id, later, user.id, x.y)")],
        "fn f(id: u8, user: User) {}",
    );
    let captures: Vec<bool> = model
        .span
        .unwrap()
        .fields
        .iter()
        .map(|field| matches!(field.capture, Capture::Empty))
        .collect();
    assert_eq!(captures, [false, true, false, true]);
}

#[test]
fn labels_have_the_type_that_a_static_can_name() {
    let types = |options: &str, item: &str| -> Vec<&'static str> {
        let counter = model(&[(Attribute::Counted, options)], item).counter.unwrap();
        let kinds = counter.family.labels.iter().map(|label| match &label.source {
            Source::Const(_) => "const",
            Source::Entry(_, LabelType::Named(_)) => "named",
            Source::Entry(_, LabelType::Of(_)) => "of",
            Source::Entry(_, LabelType::Unknown) => "unknown",
            Source::Returned(..) => "returned",
            Source::Limited { .. } => "limited",
        });
        kinds.collect()
    };
    let item = "fn f(a: Channel, b: &Order, t: T, g: Long, i: impl LabelValue, s: &'x Channel) {}";
    assert_eq!(types("labels(k = a)", item), ["named"]);
    assert_eq!(types("labels(k = b.channel, l = b.kind(a))", item), ["of", "of"]);
    assert_eq!(
        types("labels(k = t, l = i, m = s, n = other, o = self.x)", item),
        ["unknown"; 5]
    );
    assert_eq!(types("labels(k = t)", "fn f<Long>(t: Long) {}"), ["unknown"]);
    assert_eq!(types("labels(k: Channel = other())", item), ["named"]);
    assert_eq!(
        types("labels(k = \"x\", l = a::REGION, m = 2, n = true)", item),
        ["const"; 4]
    );
    assert_eq!(
        types(
            "labels(k = |ret| ret.x, l = limit(a.b, 5), m = |ret| limit(ret, 5))",
            item
        ),
        ["returned", "limited", "limited"]
    );
}

#[test]
fn the_errors_of_a_result_are_asked_for_whatever_its_value_is() {
    let asked = |output: &str| {
        let model = model(&[(Attribute::Counted, "")], &format!("fn f<A>() -> {output} {{}}"));
        model.result.map(|ty| ty.to_token_stream().to_string().replace(' ', ""))
    };
    assert_eq!(asked("Result<Resp, Error>").as_deref(), Some("Result<(),Error>"));
    assert_eq!(asked("io::Result<(&'a A, T)>").as_deref(), Some("io::Result<()>"));
    assert_eq!(asked("fmt::Result").as_deref(), Some("fmt::Result"));
    assert_eq!(
        asked("Result<(), &'static str>").as_deref(),
        Some("Result<(),&'staticstr>")
    );
    for unnamed in [
        "Result<u8, A>",
        "Result<u8, Self::Error>",
        "Result<u8, (&'a str, u8)>",
        "Option<u8>",
    ] {
        assert_eq!(asked(unnamed), None, "{unnamed}");
    }
}

#[test]
fn each_mistake_is_told() {
    assert_eq!(
        messages(
            &[(Attribute::Traced, "nmae = \"x\", level = \"loud\", root = 1")],
            "fn f() {}"
        ),
        [
            "`traced` has no option `nmae`; did you mean `name`? write `name = \"place order\"`",
            "a level is one of \"trace\", \"debug\", \"info\", \"warn\", \"error\"; write `level = \"info\"`",
            "`root` takes no value; write `root`",
        ]
    );
    assert_eq!(
        messages(
            &[
                (Attribute::Counted, "name = \"a_total\""),
                (Attribute::Timed, "name = \"a.seconds\", busy, busy")
            ],
            "fn f() {}"
        ),
        [
            "`busy` is given twice; keep one",
            "the metrics page adds `_total` itself; write `name = \"a\"`",
            "the unit is always seconds and the metrics page adds it; write `name = \"a\"`",
        ]
    );
}

#[test]
fn what_the_function_says_goes_before_what_the_block_says() {
    let entry = |options: &str, block| Entry {
        attr: Attribute::Traced,
        span: Span::call_site(),
        arguments: options.parse().unwrap(),
        block,
    };
    let stack = Stack {
        entries: vec![
            entry("level = \"debug\", kind = server, ok_if = a", true),
            entry("level = \"warn\", error_if = b", false),
        ],
        within: Some("Store".to_owned()),
        ..Stack::default()
    };
    let item = Item::new("fn f() {}".parse().unwrap());
    let mut diag = Diagnostics::default();
    let model = function(item.function().unwrap(), item.body().unwrap(), &stack, &mut diag);
    assert_eq!(diag.messages(), [""; 0]);
    assert_eq!(model.name, "Store::f");
    let span = model.span.unwrap();
    assert_eq!(span.level.unwrap().0, "WARN");
    assert_eq!(span.kind.unwrap(), "Server");
    assert!(matches!(model.verdict, Verdict::ErrorIf(_)));
}

#[test]
fn options_that_exclude_one_another_do_so_on_one_level() {
    let lower = |attr: Attribute, block: &str, own: &str, item: &str| {
        let entry = |options: &str, block| Entry {
            attr,
            span: Span::call_site(),
            arguments: options.parse().unwrap(),
            block,
        };
        let stack = Stack {
            entries: vec![entry(block, true), entry(own, false)],
            ..Stack::default()
        };
        let item = Item::new(item.parse().unwrap());
        let mut diag = Diagnostics::default();
        let model = function(item.function().unwrap(), item.body().unwrap(), &stack, &mut diag);
        (model, diag.messages())
    };
    let valid = |attr, block, own, item| {
        let (model, messages) = lower(attr, block, own, item);
        assert_eq!(messages, [""; 0], "{block}, {own}");
        model
    };
    let timer = valid(Attribute::Timed, "native", "buckets = [0.1]", "fn f() {}").timer;
    assert!(matches!(timer.unwrap().buckets, Buckets::Classic(_)));
    let span = |block, own, item| valid(Attribute::Traced, block, own, item).span.unwrap();
    assert!(matches!(
        span("root", "parent = c", "fn f() {}").parent,
        ParentModel::Of(_)
    ));
    assert!(matches!(
        span("parent = c", "root", "fn f() {}").parent,
        ParentModel::Root
    ));

    let kinds = |block, own| {
        let span = span(block, own, "fn f() {}");
        (span.kind.unwrap().to_string(), span.operation.is_some())
    };
    let (db, job) = ("db(system = \"sqlite\")", "job = \"mail\"");
    assert_eq!(kinds("kind = server", db), ("Client".to_owned(), true));
    assert_eq!(kinds(db, "kind = server"), ("Server".to_owned(), false));
    // A kind that a statement can have takes nothing away from it.
    assert_eq!(kinds(db, "kind = internal"), ("Internal".to_owned(), true));

    let traced_db = format!("traced({db})");
    let operation = |block, own| {
        valid(Attribute::Observed, block, own, "fn f() {}")
            .span
            .unwrap()
            .operation
    };
    assert!(matches!(operation(&traced_db, job), Some(OperationModel::Job(_))));
    assert!(matches!(operation(job, &traced_db), Some(OperationModel::Db(_))));

    let item = "fn f() -> impl Stream<Item = u8> { g }";
    let streams = |block, own| {
        let model = valid(Attribute::Traced, block, own, item);
        (
            matches!(model.flow, Flow::Stream { .. }),
            model.span.unwrap().ret.is_some(),
        )
    };
    assert_eq!(streams("ret", "stream"), (true, false));
    assert_eq!(streams("stream", "ret"), (false, true));

    // On one level they are told, whichever it is.
    let told = |attr, options: &str, message: &str| {
        assert_eq!(lower(attr, options, "", item).1, [message], "{options}");
        assert_eq!(lower(attr, "", options, item).1, [message], "{options}");
    };
    told(
        Attribute::Traced,
        "ret, stream",
        "a stream has many items and none is recorded; leave `ret` out",
    );
    told(
        Attribute::Traced,
        &format!("kind = server, {db}"),
        "the span of a `db` call is of kind client; leave `kind` out",
    );
    told(
        Attribute::Observed,
        &format!("{job}, {traced_db}"),
        "a function is a job or one statement; keep one of `job` and `db`",
    );
}

#[test]
fn an_operation_names_its_span_and_gives_its_kind() {
    let span = |attribute, options: &str| {
        let span = model(&[(attribute, options)], "fn f(a: u8, (b, c): (u8, u8)) {}")
            .span
            .unwrap();
        (
            span.name.value(),
            span.kind.unwrap().to_string(),
            span.operation.unwrap(),
        )
    };
    let named = |options: &str| span(Attribute::Traced, options).0;
    assert_eq!(
        named("db(system = \"redis\", operation = \"GET\", collection = \"k\")"),
        "GET k"
    );
    assert_eq!(named("db(system = \"sqlite\", operation = \"VACUUM\")"), "VACUUM");
    assert_eq!(named("db(system = \"sqlite\", namespace = \"shop\")"), "shop");
    assert_eq!(named("db(system = \"sqlite\", query = q)"), "sqlite");
    assert_eq!(named("db(system = \"sqlite\", query = q), name = \"own\""), "own");
    assert_eq!(span(Attribute::Traced, "db(system = \"sqlite\")").1, "Client");

    let (name, kind, operation) = span(Attribute::Observed, "job(name = \"send\", queue = \"mails\")");
    assert_eq!((name.as_str(), kind.as_str()), ("process mails", "Consumer"));
    let OperationModel::Job(JobModel {
        messages: Messages::Among(arguments),
        ..
    }) = operation
    else {
        panic!("no job")
    };
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.value.to_token_stream().to_string())
        .collect();
    assert_eq!(arguments, ["a", "b", "c"]);
}

#[test]
fn an_argument_keeps_its_attributes_and_the_body_those_of_bindings() {
    let model = model(
        &[(Attribute::Traced, "")],
        "async fn f(#[description = \"who\"] #[cfg(all())] #[allow(unused)] user: String) {}",
    );
    let attrs = |attrs: &[syn::Attribute]| attrs.len();
    assert_eq!(
        model
            .rebinds
            .iter()
            .map(|rebind| attrs(&rebind.attrs))
            .collect::<Vec<_>>(),
        [2]
    );
    let FnArg::Typed(argument) = &model.function.signature.inputs[0] else {
        panic!("no argument")
    };
    assert_eq!(attrs(&argument.attrs), 3);
}

#[test]
fn raw_names_are_shown_without_their_mark() {
    let model = model(
        &[
            (Attribute::Traced, "args, fields(%r#in.r#ref)"),
            (Attribute::Counted, ""),
        ],
        "/** \n * Orders.\n */ fn f(r#type: u8, r#in: In) {}",
    );
    let keys: Vec<String> = model
        .span
        .unwrap()
        .fields
        .iter()
        .map(|field| field.key.value())
        .collect();
    assert_eq!(keys, ["in.ref", "type", "in"]);
    assert!(matches!(model.counter.unwrap().family.help, Help::Doc(text) if text == "Orders."));
}

#[test]
fn what_an_operation_cannot_be_is_told() {
    let told = |options: &str| messages(&[(Attribute::Traced, options)], "fn f() {}");
    assert_eq!(
        told("db(system = \"PG\")"),
        ["`PG` is `postgresql` in the semantic conventions; write `system = \"postgresql\"`"]
    );
    assert_eq!(
        told("db(operation = \"\")"),
        ["`operation` is empty; write `operation = \"SELECT\"` or leave it out"]
    );
}
