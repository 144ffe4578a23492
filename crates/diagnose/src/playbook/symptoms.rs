//! From the words that people type to chapters.

use super::{Chapter, chapters, of_label};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Words that a person may type, each line a symptom, and the chapters that it
/// may lead to, the likeliest first.
const TABLE: &[(&str, &[&str])] = &[
    (
        "timeouts timeout timed out waiting for connection checkout query_wait_timeout",
        &[
            "PlimsollPoolExhausted",
            "PlimsollLimitUpstream",
            "slow_statements",
            "locks",
            "network",
        ],
    ),
    (
        "503 502 504 500 unavailable errors down outage",
        &[
            "PlimsollPoolExhausted",
            "PlimsollServerRefusing",
            "PlimsollLimitUpstream",
            "leak",
        ],
    ),
    (
        "too many connections clients already 53300 remaining slots reserved",
        &[
            "budget_squeezed",
            "limit_too_large",
            "connection_storm",
            "PlimsollPoolExhausted",
        ],
    ),
    (
        "slow latency response times high hangs hanging stuck",
        &[
            "PlimsollWaitObjective",
            "slow_statements",
            "locks",
            "server_saturated",
            "limit_too_large",
        ],
    ),
    (
        "cannot log in login password authentication failed 28p01 28000 sasl scram certificate tls ssl expired",
        &[
            "credentials",
            "PlimsollCredentialFailing",
            "PlimsollServerRefusing",
        ],
    ),
    (
        "connection refused could not connect unreachable no route 08006 08001 failover moved dns read-only standby",
        &["database_down", "PlimsollServerRefusing", "network"],
    ),
    (
        "cpu load io disk iowait memory",
        &[
            "server_saturated",
            "limit_too_large",
            "pooler_starved",
            "slow_statements",
        ],
    ),
    (
        "pool exhausted full limit reached queuepool overflow waiting clients cl_waiting",
        &[
            "PlimsollPoolExhausted",
            "limit_too_small",
            "leak",
            "PlimsollLimitUpstream",
        ],
    ),
    (
        "idle in transaction leak leaked open not released not returned held",
        &["leak", "upstream_leak", "PlimsollLeak"],
    ),
    (
        "deadlock lock blocked blocking lock_timeout migration",
        &["locks", "slow_statements"],
    ),
    (
        "ddos flood attack spike spikes traffic surge one client",
        &["abusive_source", "connection_storm", "growth"],
    ),
    (
        "network packet loss retransmits round trip rtt",
        &["network", "database_down"],
    ),
    (
        "deploy deployed release update config settings changed overwritten file rollback revert",
        &[
            "settings_change",
            "PlimsollSettingsDrift",
            "PlimsollFleetSplitSettings",
            "leak",
            "upstream_pool_too_small",
        ],
    ),
    (
        "django rails spring hikari sqlalchemy node go application pool",
        &[
            "PlimsollLimitUpstream",
            "upstream_pool_too_small",
            "upstream_leak",
        ],
    ),
    (
        "restart restarted crash reconnect reconnecting storm retries",
        &["database_down", "connection_storm"],
    ),
];

/// Words that say nothing.
const LITTLE: &[&str] = &[
    "the", "in", "is", "are", "of", "to", "on", "at", "an", "and", "or", "for", "we", "our", "my",
    "it", "its", "with", "has", "have", "than", "from", "by", "be", "more",
];
/// What a word counts that one symptom alone has.
const WEIGHT: usize = 60;

/// A symptom, and where it may lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Symptom {
    /// Words that people type.
    pub words: String,
    /// Labels of chapters, the likeliest first.
    pub chapters: Vec<String>,
}

/// All symptoms.
pub fn symptoms() -> Vec<Symptom> {
    let symptom = |(words, labels): &(&str, &[&str])| Symptom {
        words: (*words).to_owned(),
        chapters: labels.iter().map(|l| (*l).to_owned()).collect(),
    };
    TABLE.iter().map(symptom).collect()
}

/// The chapters that fit best, at most five; none: no word is known.
pub fn find(symptom: &str) -> Vec<&'static Chapter> {
    let symptom: String = symptom.chars().take(200).collect();
    let symptom = symptom.to_lowercase();
    if let Some(chapter) = of_label(symptom.trim().replace(' ', "_").as_str()) {
        return vec![chapter];
    }
    let typed: Vec<&str> = symptom
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.len() > 1 && !LITTLE.contains(word))
        .collect();
    let has = |words: &str, typed: &str| {
        let mut known = words.split(' ');
        known.any(|word| word == typed || word == stem(typed))
    };
    // A word that few symptoms have says more than one that many have.
    let weight = |typed: &str| {
        let rows = TABLE.iter().filter(|(words, _)| has(words, typed)).count();
        WEIGHT / rows.max(1)
    };
    let hits = |text: &str| -> usize {
        let text = text.to_lowercase();
        let known = typed.iter().filter(|word| has(&text, word));
        known.map(|word| weight(word)).sum()
    };
    let mut found: Vec<(usize, usize, &'static Chapter)> = Vec::new();
    let mut add = |score: usize, place: usize, chapter: &'static Chapter| match found
        .iter_mut()
        .find(|(.., c)| c.label == chapter.label)
    {
        Some(row) => row.0 += score,
        None => found.push((score, place, chapter)),
    };
    for (words, labels) in TABLE {
        let score = hits(words);
        for (place, label) in labels.iter().enumerate().filter(|_| score > 0) {
            if let Some(chapter) = of_label(label) {
                add(score * (10 - 2 * place.min(4)), place, chapter);
            }
        }
    }
    for chapter in chapters() {
        let score = hits(&chapter.title.replace("'s", ""));
        if score > WEIGHT {
            add(score * 9, 9, chapter);
        }
    }
    found.sort_by_key(|(score, place, _)| (std::cmp::Reverse(*score), *place));
    found.into_iter().take(5).map(|(.., c)| c).collect()
}

/// Without the plural's s.
fn stem(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}
