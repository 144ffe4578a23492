//! The live page's files: in the binary, and nowhere else.
//!
//! They hold no figure and no name, so anybody who may connect gets them. A file
//! is found by its whole path in a table: there is nothing to be led out of.

mod bundle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::OnceLock;

/// The page as it is written, before styles and modules stand in it.
const DOCUMENT: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
/// Runs before the rest is there.
const FIRST: &str = include_str!("page/first.js");
const ICON: &str = include_str!("page/icon.svg");

macro_rules! modules {
    ($($name:literal)+) => {
        const MODULES: &[bundle::Source] = &[$(($name, include_str!(concat!("page/", $name))),)+];
    };
}

modules! {
    "actions.js" "alerts.js" "app.js" "budget.js" "chart.js" "demo.js" "dom.js" "fleet.js" "incidents.js" "leases.js"
    "net.js" "overview.js" "playbook.js" "pools.js" "route.js" "settings.js" "table.js" "units.js"
    "verdict.js"
}

/// One file as it is sent, before it is packed.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: String,
    /// What a browser may do with it.
    policy: String,
}

/// Every file; the first is the page itself, whole.
fn files() -> [File; 2] {
    let icon = File {
        path: "/page/icon.svg",
        content_type: "image/svg+xml",
        text: ICON.to_owned(),
        policy: policy(&[], &[]),
    };
    [page(), icon]
}

/// One document: a browser that asks once shows it sooner than one that asks for
/// each of its parts, and its policy names the hash of each script that may run.
fn page() -> File {
    let modules = bundle::bundle(MODULES, "app.js");
    let mut text = DOCUMENT.to_owned();
    for (place, element, content) in [
        (
            "<link rel=\"stylesheet\" href=\"/page/style.css\">",
            "style",
            STYLE,
        ),
        ("<script src=\"/page/first.js\"></script>", "script", FIRST),
        (
            "<script type=\"module\" src=\"/page/app.js\"></script>",
            "script type=\"module\"",
            &modules,
        ),
    ] {
        let end = element.split(' ').next().unwrap_or(element);
        text = text.replacen(place, &format!("<{element}>{content}</{end}>"), 1);
    }
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        text,
        policy: policy(&[FIRST, &modules], &[STYLE]),
    }
}

/// What a browser may do with a file: only what came with it.
fn policy(scripts: &[&str], styles: &[&str]) -> String {
    let sources = |texts: &[&str]| match texts {
        [] => "'none'".to_owned(),
        _ => texts
            .iter()
            .map(|text| hash(text))
            .collect::<Vec<_>>()
            .join(" "),
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        sources(scripts),
        sources(styles)
    )
}

/// As <https://www.w3.org/TR/CSP3/#grammardef-hash-source>.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)))
}

/// A file as it is sent.
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// Of the plain bytes; the other has `-gz` at its end.
    tag: String,
    policy: String,
}

/// The files, packed once.
fn assets() -> &'static [Asset] {
    static ASSETS: OnceLock<Vec<Asset>> = OnceLock::new();
    ASSETS.get_or_init(|| files().into_iter().map(packed).collect())
}

fn packed(file: File) -> Asset {
    let digest = Sha256::digest(&file.text);
    let tag: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes all that is written.
    let _ = encoder.write_all(file.text.as_bytes());
    Asset {
        path: file.path,
        content_type: file.content_type,
        gzip: encoder.finish().unwrap_or_default().into(),
        plain: file.text.into(),
        tag,
        policy: file.policy,
    }
}

/// The file at this path, taken as it was sent.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    assets().iter().find(|asset| asset.path == path)
}

impl Asset {
    /// It is the page itself, which links of other sites may lead to.
    pub(crate) fn is_page(&self) -> bool {
        self.path == "/"
    }

    /// Answers who asks for it: with the bytes, or that theirs are still good.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let gzip = takes_gzip(asked) && !self.gzip.is_empty() && self.gzip.len() < self.plain.len();
        let tag = match gzip {
            true => format!("\"{}-gz\"", self.tag),
            false => format!("\"{}\"", self.tag),
        };
        let known = self.is_known(asked);
        let body = match (known, gzip) {
            (true, _) => Bytes::new(),
            (false, true) => self.gzip.clone(),
            (false, false) => self.plain.clone(),
        };
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::ETAG, &tag);
        // Another binary has another page: it is asked for each time.
        set(header::CACHE_CONTROL, "no-cache");
        set(header::VARY, "Accept-Encoding");
        set(header::CONTENT_SECURITY_POLICY, &self.policy);
        match known {
            true => *response.status_mut() = StatusCode::NOT_MODIFIED,
            false => {
                set(header::CONTENT_TYPE, self.content_type);
                if gzip {
                    set(header::CONTENT_ENCODING, "gzip");
                }
            }
        }
        response
    }

    /// The caller has it, packed or not.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        let lines = asked.get_all(header::IF_NONE_MATCH).iter();
        let tags = lines.filter_map(|line| line.to_str().ok());
        let mut tags = tags.flat_map(|line| line.split(',')).map(str::trim);
        tags.any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
            tag == "*" || tag.strip_suffix("-gz").unwrap_or(tag) == self.tag
        })
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter();
    let words = lines.filter_map(|line| line.to_str().ok());
    let mut words = words.flat_map(|line| line.split(','));
    words.any(|word| {
        let mut parts = word.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let mut weights = parts.filter_map(|p| p.strip_prefix("q="));
        let refused = weights.any(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Read;

    /// Most bytes of all files together, packed.
    const PACKED_MAX: usize = 100 << 10;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn every_file_is_part_of_the_page_and_all_of_it_is_small() {
        let there = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page");
        let there: BTreeSet<String> = std::fs::read_dir(there)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".js") && name != "first.js")
            .collect();
        let ours = MODULES.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(ours.collect::<BTreeSet<_>>(), there);
        let packed: usize = assets().iter().map(|a| a.gzip.len()).sum();
        assert!(packed <= PACKED_MAX, "{packed} bytes");
        for asset in assets() {
            let mut unpacked = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&*asset.gzip);
            decoder.read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, asset.plain, "{}", asset.path);
        }
    }

    #[test]
    fn the_page_is_whole_and_its_policy_names_what_stands_in_it() {
        let page = find("/").unwrap();
        let text = std::str::from_utf8(&page.plain).unwrap();
        for gone in ["rel=\"stylesheet\"", "src=\"", "/page/app.js"] {
            assert!(!text.contains(gone), "{gone}");
        }
        // What is between a start and its end is what the browser takes the hash of.
        let mut elements = 0;
        for (start, end) in [
            ("<style>", "</style"),
            ("<script>", "</script"),
            ("<script type=\"module\">", "</script"),
        ] {
            let (before, rest) = text.split_once(start).unwrap();
            let (content, after) = rest.split_once(end).unwrap();
            assert!(
                !before.contains("<!--") && !after.contains(start),
                "{start}"
            );
            assert!(page.policy.contains(&hash(content)), "{start}");
            elements += 1;
        }
        assert_eq!(page.policy.matches("'sha256-").count(), elements);
        assert!(!page.policy.contains("unsafe"));
        let all: String = MODULES.iter().map(|(_, text)| *text).collect();
        assert!(!all.contains("</script") && !all.contains("<!--"));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        for asset in assets() {
            let text = std::str::from_utf8(&asset.plain).unwrap();
            // Names of XML are no places.
            let text = text.replace("http://www.w3.org/", "");
            for place in [
                "http://",
                "https://",
                "//cdn",
                "@import",
                "eval(",
                "javascript:",
            ] {
                // Addresses of examples in commands lead to this machine.
                let rest = text
                    .replace("http://127.0.0.1", "")
                    .replace("http://localhost", "");
                assert!(!rest.contains(place), "{}: {place}", asset.path);
            }
        }
        assert!(!DOCUMENT.contains("style=") && !DOCUMENT.contains(" onclick"));
    }

    #[test]
    fn only_whole_paths_are_found() {
        assert!(find("/").is_some() && find("/page/icon.svg").is_some());
        for trick in [
            "",
            "/page",
            "/page/",
            "//",
            "/page/../page/icon.svg",
            "/page/icon.svg/",
            "/page/ICON.SVG",
            "/page/%69con.svg",
            "/page/index.html",
            "/page/icon.svg\0",
            "/page//icon.svg",
            "/page/app.js",
            "/icon.svg",
        ] {
            assert!(find(trick).is_none(), "{trick:?}");
        }
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let page = find("/").unwrap();
        let fresh = page.answer(&HeaderMap::new());
        assert_eq!(fresh.status(), 200);
        assert_eq!(fresh.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(
            fresh.headers()[header::CONTENT_SECURITY_POLICY],
            page.policy
        );
        let tag = fresh.headers()[header::ETAG].to_str().unwrap().to_owned();
        for (given, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            (tag.replace("\"", "").to_owned(), 304),
            ("*".to_owned(), 304),
            (format!("\"{}-gz\"", tag.trim_matches('"')), 304),
            ("\"x\"".to_owned(), 200),
            (String::new(), 200),
        ] {
            let answer = page.answer(&headers(&[(header::IF_NONE_MATCH, &given)]));
            assert_eq!(answer.status(), status, "{given}");
            assert_eq!(answer.headers()[header::ETAG].to_str().unwrap(), tag);
        }
    }

    #[test]
    fn it_is_packed_for_those_who_take_it() {
        let page = find("/").unwrap();
        for (accepts, packed) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("br", false),
            ("", false),
        ] {
            let answer = page.answer(&headers(&[(header::ACCEPT_ENCODING, accepts)]));
            let found = answer.headers().contains_key(header::CONTENT_ENCODING);
            assert_eq!(found, packed, "{accepts}");
            assert_eq!(answer.headers()[header::VARY], "Accept-Encoding");
        }
    }
}
