//! Which text format a scraper prefers.

use axum::http::HeaderValue;

use super::exposition::Dialect;

/// OpenMetrics if the Accept headers rank version 1.0.0 of it at least as high as plain text, else plain text: whoever
/// asks for neither can read that.
pub(super) fn dialect<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> Dialect {
    let (mut open, mut plain) = (0.0, 0.0);
    let headers = accept.into_iter().filter_map(|value| value.to_str().ok());
    for range in headers.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut version, mut weight) = ("1.0.0", 1.0_f64);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "version" => version = value.trim_matches('"'),
                "q" => weight = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        match media.as_str() {
            "application/openmetrics-text" if version == "1.0.0" => open = weight.max(open),
            "text/plain" | "text/*" | "*/*" => plain = weight.max(plain),
            _ => {}
        }
    }
    if open > 0.0 && open >= plain { Dialect::OpenMetrics } else { Dialect::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_unless_openmetrics_is_preferred() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus, Dialect::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0", Dialect::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", Dialect::OpenMetrics),
            ("application/openmetrics-text; version=2.0.0", Dialect::Text),
            ("application/openmetrics-text; version=1.0.0; q=0", Dialect::Text),
            ("application/openmetrics-text; q=0.1, text/plain", Dialect::Text),
            ("*/*", Dialect::Text),
            ("text/html", Dialect::Text),
            ("", Dialect::Text),
        ] {
            let value = HeaderValue::from_static(accept);
            assert_eq!(dialect([&value]), expected, "{accept}");
        }
    }
}
