//! A log line as JSON: one flat object, so that a collector needs no rule to get at a field. What a span says (the id of
//! the request that a line belongs to) stands beside what the line says itself, which wins.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// What every line begins with. A field of the same name gets a `_` in front.
const HEAD: [&str; 3] = ["timestamp", "level", "target"];

/// Writes lines as flat JSON objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(formatted) = span.extensions().get::<FormattedFields<N>>() {
                fields.of_span(formatted);
            }
        }
        event.record(&mut fields);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let head = [timestamp.as_str(), event.metadata().level().as_str(), event.metadata().target()];
        writer.write_char('{')?;
        for (name, value) in HEAD.iter().zip(head) {
            write!(writer, "{}:{},", Value::from(*name), Value::from(value))?;
        }
        // An object's text without its first brace ends the line as it should.
        fields.0.entry("message").or_insert_with(|| Value::from(""));
        let rest = Value::Object(fields.0).to_string();
        writeln!(writer, "{}", &rest[1..])
    }
}

/// The fields of a line.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// What a span says, as the field format has written it: a JSON object.
    fn of_span(&mut self, formatted: &str) {
        if let Ok(Value::Object(fields)) = serde_json::from_str(formatted) {
            fields.into_iter().for_each(|(name, value)| self.put(&name, value));
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        let name = if HEAD.contains(&name) { format!("_{name}") } else { name.to_owned() };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(say: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .event_format(JsonLines)
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::TRACE)
            .finish();
        tracing::subscriber::with_default(subscriber, say);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_flat_object_with_what_its_spans_say() {
        let lines = logged(|| {
            let outer = tracing::error_span!("request", request_id = %"r1", route = "/outer").entered();
            let inner = tracing::error_span!("step", route = "/inner").entered();
            tracing::warn!(took_ms = 7_u64, share = f64::NAN, is_late = true, "a \"quoted\"\nmessage");
            drop(inner);
            tracing::info!(route = "/own", level = "mine");
            drop(outer);
            tracing::info!("alone");
        });
        assert_eq!(lines.len(), 3);
        for line in &lines {
            let flat =
                line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array());
            assert!(flat && line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
            assert_eq!(line["target"], "pabal::logging::lines::tests");
        }
        assert_eq!((&lines[0]["level"], &lines[0]["request_id"]), (&"WARN".into(), &"r1".into()));
        assert_eq!((&lines[0]["route"], &lines[0]["took_ms"]), (&"/inner".into(), &7.into()));
        assert_eq!(
            (&lines[0]["message"], &lines[0]["is_late"]),
            (&"a \"quoted\"\nmessage".into(), &true.into())
        );
        assert_eq!((&lines[1]["route"], &lines[1]["level"]), (&"/own".into(), &"INFO".into()));
        assert_eq!((&lines[1]["_level"], &lines[1]["message"]), (&"mine".into(), &"".into()));
        assert_eq!(lines[2].get("request_id"), None);
    }
}
