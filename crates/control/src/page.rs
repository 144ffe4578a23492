//! The live page's files: in the binary, and nowhere else.
//!
//! They hold no figure and no name, so anybody who may connect gets them. A file
//! is found by its whole path in a table: there is nothing to be led out of.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::OnceLock;

/// One file.
struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal)+) => {
        /// Every file; the first is the page itself.
        const FILES: &[File] = &[
            File {
                path: "/",
                content_type: "text/html; charset=utf-8",
                bytes: include_bytes!("page/index.html"),
            },
            $(File {
                path: concat!("/page/", $name),
                content_type: content_type($name),
                bytes: include_bytes!(concat!("page/", $name)),
            },)+
        ];
    };
}

files! {
    "actions.js" "alerts.js" "app.js" "budget.js" "chart.js" "dom.js" "first.js" "incidents.js"
    "leases.js" "net.js" "overview.js" "playbook.js" "pools.js" "route.js" "settings.js" "table.js"
    "units.js" "verdict.js" "style.css" "icon.svg"
}

const fn content_type(name: &str) -> &'static str {
    match name.as_bytes() {
        [.., b'.', b'j', b's'] => "text/javascript; charset=utf-8",
        [.., b'.', b'c', b's', b's'] => "text/css; charset=utf-8",
        [.., b'.', b's', b'v', b'g'] => "image/svg+xml",
        _ => panic!("a file of the page is of a kind that browsers are not told"),
    }
}

/// What a browser may do with the page: only what came with it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file as it is sent.
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// Of the plain bytes; the other has `-gz` at its end.
    tag: String,
}

/// The files, packed once.
fn assets() -> &'static [Asset] {
    static ASSETS: OnceLock<Vec<Asset>> = OnceLock::new();
    ASSETS.get_or_init(|| FILES.iter().map(packed).collect())
}

fn packed(file: &File) -> Asset {
    let digest = Sha256::digest(file.bytes);
    let tag: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes all that is written.
    let _ = encoder.write_all(file.bytes);
    Asset {
        path: file.path,
        content_type: file.content_type,
        plain: Bytes::from_static(file.bytes),
        gzip: encoder.finish().unwrap_or_default().into(),
        tag,
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
        set(header::CONTENT_SECURITY_POLICY, POLICY);
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
    fn every_file_is_in_the_table_and_all_are_small() {
        let there = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page");
        let there: BTreeSet<String> = std::fs::read_dir(there)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .map(|name| format!("/page/{name}"))
            .collect();
        let ours: BTreeSet<String> = assets().iter().map(|a| a.path.to_owned()).collect();
        assert_eq!(&ours - &BTreeSet::from(["/".to_owned()]), there);
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
        let page = std::str::from_utf8(&find("/").unwrap().plain).unwrap();
        assert!(!page.contains("style=") && !page.contains("<style"));
        assert!(!page.contains("<script>") && !page.contains(" onclick"));
    }

    #[test]
    fn only_whole_paths_are_found() {
        assert!(find("/").is_some() && find("/page/app.js").is_some());
        for trick in [
            "",
            "/page",
            "/page/",
            "//",
            "/page/../page/app.js",
            "/page/app.js/",
            "/page/APP.JS",
            "/page/%61pp.js",
            "/page/index.html",
            "/page/app.js\0",
            "/page//app.js",
            "/app.js",
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
        assert_eq!(fresh.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
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
