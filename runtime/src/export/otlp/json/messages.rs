//! The messages of OTLP, a row a field, in the order in which they are written.

/// The fields of a message.
pub(super) type Message = [Field];

pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) repeated: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Text,
    /// Ids.
    Hex,
    Base64,
    Bool,
    /// Up to 32 bits, enums too: a number.
    Int,
    /// Zigzag, 32 bits.
    Sint,
    /// `int64`, `sfixed64`: a string.
    Long,
    /// `uint64`, `fixed64`: a string.
    Ulong,
    /// The same, packed as variable-length numbers where it repeats; the others repeat in eight bytes each.
    Packed,
    Double,
    Message(&'static Message),
}

const fn one(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        number,
        name,
        form,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, form: Form) -> Field {
    Field {
        number,
        name,
        form,
        repeated: true,
    }
}

use Form::{Base64, Bool, Double, Hex, Int, Long, Message as Of, Packed, Sint, Text, Ulong};

const fn attributes(number: u32) -> Field {
    many(number, "attributes", Of(&KEY_VALUE))
}

const fn dropped_attributes(number: u32) -> Field {
    one(number, "droppedAttributesCount", Int)
}

const fn exemplars(number: u32) -> Field {
    many(number, "exemplars", Of(&EXEMPLAR))
}

const fn flags(number: u32) -> Field {
    one(number, "flags", Int)
}

const fn trace_id(number: u32) -> Field {
    one(number, "traceId", Hex)
}

const fn span_id(number: u32) -> Field {
    one(number, "spanId", Hex)
}

const SCHEMA_URL: Field = one(3, "schemaUrl", Text);
const TEMPORALITY: Field = one(2, "aggregationTemporality", Int);
/// Of all kinds of points.
const START: Field = one(2, "startTimeUnixNano", Ulong);
const TIME: Field = one(3, "timeUnixNano", Ulong);
const COUNT: Field = one(4, "count", Ulong);
const TOTAL: Field = one(5, "sum", Double);

static ANY_VALUE: [Field; 7] = [
    one(1, "stringValue", Text),
    one(2, "boolValue", Bool),
    one(3, "intValue", Long),
    one(4, "doubleValue", Double),
    one(5, "arrayValue", Of(&ARRAY_VALUE)),
    one(6, "kvlistValue", Of(&KEY_VALUE_LIST)),
    one(7, "bytesValue", Base64),
];
static ARRAY_VALUE: [Field; 1] = [many(1, "values", Of(&ANY_VALUE))];
static KEY_VALUE_LIST: [Field; 1] = [many(1, "values", Of(&KEY_VALUE))];
static KEY_VALUE: [Field; 2] = [one(1, "key", Text), one(2, "value", Of(&ANY_VALUE))];
static SCOPE: [Field; 4] = [
    one(1, "name", Text),
    one(2, "version", Text),
    attributes(3),
    dropped_attributes(4),
];
static RESOURCE: [Field; 2] = [attributes(1), dropped_attributes(2)];

/// `ResourceSpans` and the like: the three signals differ in names only.
const fn resource_of(name: &'static str, scopes: &'static Message) -> [Field; 3] {
    [one(1, "resource", Of(&RESOURCE)), many(2, name, Of(scopes)), SCHEMA_URL]
}

/// `ScopeSpans` and the like.
const fn scope_of(name: &'static str, items: &'static Message) -> [Field; 3] {
    [one(1, "scope", Of(&SCOPE)), many(2, name, Of(items)), SCHEMA_URL]
}

pub(super) static TRACES: [Field; 1] = [many(1, "resourceSpans", Of(&RESOURCE_SPANS))];
static RESOURCE_SPANS: [Field; 3] = resource_of("scopeSpans", &SCOPE_SPANS);
static SCOPE_SPANS: [Field; 3] = scope_of("spans", &SPAN);
static SPAN: [Field; 16] = [
    trace_id(1),
    span_id(2),
    one(3, "traceState", Text),
    one(4, "parentSpanId", Hex),
    flags(16),
    one(5, "name", Text),
    one(6, "kind", Int),
    one(7, "startTimeUnixNano", Ulong),
    one(8, "endTimeUnixNano", Ulong),
    attributes(9),
    dropped_attributes(10),
    many(11, "events", Of(&EVENT)),
    one(12, "droppedEventsCount", Int),
    many(13, "links", Of(&LINK)),
    one(14, "droppedLinksCount", Int),
    one(15, "status", Of(&STATUS)),
];
static EVENT: [Field; 4] = [
    one(1, "timeUnixNano", Ulong),
    one(2, "name", Text),
    attributes(3),
    dropped_attributes(4),
];
static LINK: [Field; 6] = [
    trace_id(1),
    span_id(2),
    one(3, "traceState", Text),
    attributes(4),
    dropped_attributes(5),
    flags(6),
];
static STATUS: [Field; 2] = [one(2, "message", Text), one(3, "code", Int)];

pub(super) static LOGS: [Field; 1] = [many(1, "resourceLogs", Of(&RESOURCE_LOGS))];
static RESOURCE_LOGS: [Field; 3] = resource_of("scopeLogs", &SCOPE_LOGS);
static SCOPE_LOGS: [Field; 3] = scope_of("logRecords", &LOG_RECORD);
static LOG_RECORD: [Field; 11] = [
    one(1, "timeUnixNano", Ulong),
    one(11, "observedTimeUnixNano", Ulong),
    one(2, "severityNumber", Int),
    one(3, "severityText", Text),
    one(5, "body", Of(&ANY_VALUE)),
    attributes(6),
    dropped_attributes(7),
    flags(8),
    trace_id(9),
    span_id(10),
    one(12, "eventName", Text),
];

pub(super) static METRICS: [Field; 1] = [many(1, "resourceMetrics", Of(&RESOURCE_METRICS))];
static RESOURCE_METRICS: [Field; 3] = resource_of("scopeMetrics", &SCOPE_METRICS);
static SCOPE_METRICS: [Field; 3] = scope_of("metrics", &METRIC);
static METRIC: [Field; 9] = [
    one(1, "name", Text),
    one(2, "description", Text),
    one(3, "unit", Text),
    one(5, "gauge", Of(&GAUGE)),
    one(7, "sum", Of(&SUM)),
    one(9, "histogram", Of(&HISTOGRAM)),
    one(10, "exponentialHistogram", Of(&EXPONENTIAL)),
    one(11, "summary", Of(&SUMMARY)),
    many(12, "metadata", Of(&KEY_VALUE)),
];
static GAUGE: [Field; 1] = [many(1, "dataPoints", Of(&NUMBER_POINT))];
static SUM: [Field; 3] = [
    many(1, "dataPoints", Of(&NUMBER_POINT)),
    TEMPORALITY,
    one(3, "isMonotonic", Bool),
];
/// Points that hold since some time.
const fn points_of(points: &'static Message) -> [Field; 2] {
    [many(1, "dataPoints", Of(points)), TEMPORALITY]
}
static HISTOGRAM: [Field; 2] = points_of(&HISTOGRAM_POINT);
static EXPONENTIAL: [Field; 2] = points_of(&EXPONENTIAL_POINT);
static SUMMARY: [Field; 1] = [many(1, "dataPoints", Of(&SUMMARY_POINT))];
static NUMBER_POINT: [Field; 7] = [
    attributes(7),
    START,
    TIME,
    one(4, "asDouble", Double),
    one(6, "asInt", Long),
    exemplars(5),
    flags(8),
];
static HISTOGRAM_POINT: [Field; 11] = [
    attributes(9),
    START,
    TIME,
    COUNT,
    TOTAL,
    many(6, "bucketCounts", Ulong),
    many(7, "explicitBounds", Double),
    exemplars(8),
    flags(10),
    one(11, "min", Double),
    one(12, "max", Double),
];
static EXPONENTIAL_POINT: [Field; 14] = [
    attributes(1),
    START,
    TIME,
    COUNT,
    TOTAL,
    one(6, "scale", Sint),
    one(7, "zeroCount", Ulong),
    one(8, "positive", Of(&BUCKETS)),
    one(9, "negative", Of(&BUCKETS)),
    flags(10),
    exemplars(11),
    one(12, "min", Double),
    one(13, "max", Double),
    one(14, "zeroThreshold", Double),
];
static BUCKETS: [Field; 2] = [one(1, "offset", Sint), many(2, "bucketCounts", Packed)];
static SUMMARY_POINT: [Field; 7] = [
    attributes(7),
    START,
    TIME,
    COUNT,
    TOTAL,
    many(6, "quantileValues", Of(&QUANTILE)),
    flags(8),
];
static QUANTILE: [Field; 2] = [one(1, "quantile", Double), one(2, "value", Double)];
static EXEMPLAR: [Field; 6] = [
    many(7, "filteredAttributes", Of(&KEY_VALUE)),
    one(2, "timeUnixNano", Ulong),
    one(3, "asDouble", Double),
    one(6, "asInt", Long),
    span_id(4),
    trace_id(5),
];
