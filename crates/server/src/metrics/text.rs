//! The two forms of a scrape's text: OpenMetrics for who asks for it, and else the older one of Prometheus, which every
//! scraper reads.

use http::HeaderMap;
use http::header::ACCEPT;

/// The form of a scrape's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Plain,
}

impl Form {
    /// The form that a request asks for.
    pub(crate) fn asked_for(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let kinds = accepted.flat_map(|value| value.split(','));
        let mut names = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if names.any(|name| name.eq_ignore_ascii_case("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// What it is called in the answer's head.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// OpenMetrics in this form.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Plain => plain(&open_metrics),
        }
    }
}

/// The older form names a counter in its head as in its samples, knows no infos, and has neither units nor an end.
fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(of_metric) = line.strip_prefix("# HELP ") {
            help = of_metric.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, meaning)) = help.take() {
                text.push_str(&format!("# HELP {name}{suffix} {meaning}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_who_asks() {
        let asked = |accept: &'static str| {
            Form::asked_for(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
        };
        assert_eq!(asked("text/plain;version=0.0.4"), Form::Plain);
        assert_eq!(asked("*/*"), Form::Plain);
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(asked(prometheus), Form::OpenMetrics);
        assert_eq!(Form::asked_for(&HeaderMap::new()), Form::Plain);
    }

    #[test]
    fn the_older_form_has_its_own_heads() {
        let open = "# HELP a What a counts.\n# TYPE a counter\na_total{b=\"c\"} 1\n# HELP d What d is.\n# TYPE d info\n\
                    d_info{v=\"1\"} 1\n# HELP e_seconds What e took.\n# TYPE e_seconds histogram\n\
                    # UNIT e_seconds seconds\ne_seconds_sum 1.0\n# EOF\n";
        let expect = "# HELP a_total What a counts.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
                      # HELP d_info What d is.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n\
                      # HELP e_seconds What e took.\n# TYPE e_seconds histogram\ne_seconds_sum 1.0\n";
        assert_eq!(Form::Plain.of(open.to_owned()), expect);
        assert_eq!(Form::OpenMetrics.of(open.to_owned()), open);
    }
}
