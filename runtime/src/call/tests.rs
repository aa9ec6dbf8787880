//! The expansion of an annotated function, written by hand: what the macros may rely on.
#![allow(
    clippy::needless_borrow,
    clippy::empty_loop,
    clippy::unused_async,
    reason = "written as the macros write"
)]
use crate::__private as p;
use std::future::Future;

fn plain(n: u32) -> Result<u32, std::num::ParseIntError> {
    let mut call = {
        #[linkme::distributed_slice(p::SITES)]
        #[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
        static SITE: p::Site = p::Site {
            def: p::Def {
                function: "plain",
                module: module_path!(),
                file: file!(),
                line: line!(),
                asynchronous: false,
                fallible: true,
                span: Some(p::SpanDef {
                    name: "plain",
                    ..p::SpanDef::DEFAULT
                }),
                counter: Some(p::CounterDef::DEFAULT),
                timer: Some(p::TimerDef::DEFAULT),
            },
            slots: p::Slots::new(),
        };
        p::Call::<7>::idle(&SITE)
    };
    call.entered();
    let ret = p::run(move || -> Result<u32, std::num::ParseIntError> {
        let n = n;
        Ok("7".parse::<u32>()? + n)
    });
    if let Some(mut s) = call.settling() {
        {
            use p::probe::*;
            (&&&&&&&&p::Probe(&ret)).vitalsign_settle(&mut s);
        }
        let ended = s.ended();
        call.end(&ended);
    }
    ret
}

const BARE: p::Def = p::Def {
    asynchronous: true,
    fallible: true,
    ..p::Def::bare("bare")
};

fn asynchronous(n: &u32) -> impl Future<Output = Result<Box<dyn Fn() -> u32 + '_>, String>> {
    static SITE: p::Site = p::Site {
        def: p::Def {
            span: Some(p::SpanDef {
                name: "asynchronous",
                fields: &["n"],
                ..p::SpanDef::DEFAULT
            }),
            ..BARE
        },
        slots: p::Slots::new(),
    };
    p::future::<4, _, _, _>(
        &SITE,
        move |call| {
            if call.on() && call.open() {
                call.fields(&[&n as &dyn p::Value]);
            }
            async move {
                #[allow(unreachable_code, unused_variables, clippy::diverging_sub_expression)]
                if false {
                    let ret: Result<Box<dyn Fn() -> u32 + '_>, String> = loop {};
                    return ret;
                }
                let n = n;
                std::future::ready(()).await;
                Ok(Box::new(move || *n))
            }
        },
        |ret, s| {
            use p::probe::*;
            (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
        },
    )
}

#[tokio::test]
async fn expansions_compile_and_run() {
    assert_eq!(plain(1), Ok(8));
    let n = 5;
    assert_eq!(asynchronous(&n).await.unwrap()(), 5);
    assert!(
        crate::site::SITES
            .iter()
            .any(|site| site.def.function == "plain" && site.metadata().name() == "plain")
    );
}

#[test]
fn a_future_grows_by_little() {
    async fn bare() {}
    fn wrapped() -> impl Future<Output = ()> {
        static SITE: p::Site = p::Site {
            def: BARE,
            slots: p::Slots::new(),
        };
        p::future::<7, _, _, _>(&SITE, |_| async {}, |(): &(), _| ())
    }
    assert!(
        size_of_val(&wrapped()) - size_of_val(&bare()) <= 160,
        "{}",
        size_of_val(&wrapped())
    );
}
