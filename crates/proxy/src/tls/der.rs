//! Just enough DER to look into a certificate: its parts, never its meaning.
//!
//! All of it comes from a stranger. Nothing is indexed; whatever does not fit
//! gives `None`. Lengths beyond four bytes do not occur in certificates.

use std::net::IpAddr;

pub(super) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
// Kinds of alternative names.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const OID_COMMON_NAME: &[u8] = &[0x55, 4, 3];
const OID_KEY_USAGE: &[u8] = &[0x55, 29, 15];
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
const OID_NAME_CONSTRAINTS: &[u8] = &[0x55, 29, 30];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
const OID_ANY_PURPOSE: &[u8] = &[0x55, 29, 37, 0];

/// What an end-entity certificate is for, as an extended key usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Server,
    Client,
}

impl Purpose {
    fn oid(self) -> &'static [u8] {
        match self {
            Purpose::Server => &[0x2b, 6, 1, 5, 5, 7, 3, 1],
            Purpose::Client => &[0x2b, 6, 1, 5, 5, 7, 3, 2],
        }
    }
}

/// One tag, length, value.
#[derive(Clone, Copy)]
pub(super) struct Tlv<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    /// Header and value.
    pub(super) whole: &'a [u8],
}

/// Takes values from the front of a buffer.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Tlv<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (
                    bytes.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)),
                    rest,
                )
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Tlv {
            tag: *tag,
            value,
            whole,
        })
    }

    /// The next value, which must have this tag.
    pub(super) fn tagged(&mut self, tag: u8) -> Option<Tlv<'a>> {
        self.value().filter(|tlv| tlv.tag == tag)
    }

    /// The next value, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Tlv<'a>> {
        if self.0.first() == Some(&tag) {
            self.value()
        } else {
            None
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Tlv<'a>;

    /// All values; what does not parse ends the walk.
    fn next(&mut self) -> Option<Tlv<'a>> {
        self.value()
    }
}

/// The parts of a certificate.
pub(super) struct Certificate<'a> {
    /// What is signed.
    pub(super) tbs: &'a [u8],
    /// Content of the AlgorithmIdentifier of the signature.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    /// 1 or 3, as people count.
    pub(super) version: u8,
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    not_before: i64,
    not_after: i64,
    /// The whole SubjectPublicKeyInfo.
    pub(super) spki: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Reader(Reader(der).tagged(SEQUENCE)?.value);
        let tbs = outer.tagged(SEQUENCE)?;
        let signature_algorithm = outer.tagged(SEQUENCE)?.value;
        let signature = bits(outer.tagged(BIT_STRING)?)?;

        let mut fields = Reader(tbs.value);
        let version = match fields.optional(0xa0) {
            None => 1,
            Some(tagged) => match Reader(tagged.value).tagged(INTEGER)?.value {
                [n @ 0..=2] => n + 1,
                _ => return None,
            },
        };
        fields.tagged(INTEGER)?;
        // What the signed part says of the algorithm must be what the outer part says.
        if fields.tagged(SEQUENCE)?.value != signature_algorithm {
            return None;
        }
        let issuer = fields.tagged(SEQUENCE)?.value;
        let mut validity = Reader(fields.tagged(SEQUENCE)?.value);
        let (not_before, not_after) = (seconds(validity.next()?)?, seconds(validity.next()?)?);
        let subject = fields.tagged(SEQUENCE)?.value;
        let spki = fields.tagged(SEQUENCE)?.whole;
        fields.optional(0x81);
        fields.optional(0x82);
        let extensions = match fields.optional(0xa3) {
            None => Vec::new(),
            Some(tagged) => extensions(Reader(tagged.value).tagged(SEQUENCE)?.value)?,
        };
        Some(Certificate {
            tbs: tbs.whole,
            signature_algorithm,
            signature,
            version,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
        })
    }

    /// When it ends, in seconds since 1970 UTC.
    pub(super) fn expires_at(&self) -> i64 {
        self.not_after
    }

    pub(super) fn valid_at(&self, unix_seconds: u64) -> bool {
        i64::try_from(unix_seconds)
            .is_ok_and(|now| (self.not_before..=self.not_after).contains(&now))
    }

    /// Says of itself that it may sign others. Roots of version 1 cannot say so and are taken as they are.
    pub(super) fn is_authority(&self) -> bool {
        let says_so = |value| {
            let mut fields = Reader(Reader(value).tagged(SEQUENCE)?.value);
            fields.optional(BOOLEAN).map(|flag| flag.value != [0])
        };
        match self.extension(OID_BASIC_CONSTRAINTS) {
            Some(value) => says_so(value).unwrap_or(false),
            None => self.version == 1 && self.subject == self.issuer,
        }
    }

    pub(super) fn constrains_names(&self) -> bool {
        self.extension(OID_NAME_CONSTRAINTS).is_some()
    }

    /// No extension forbids this use, and none that is critical is unknown here.
    pub(super) fn fit_for(&self, purpose: Purpose) -> bool {
        let known = [
            OID_KEY_USAGE,
            OID_SUBJECT_ALT_NAME,
            OID_BASIC_CONSTRAINTS,
            OID_EXTENDED_KEY_USAGE,
        ];
        if self
            .extensions
            .iter()
            .any(|e| e.critical && !known.contains(&e.oid))
        {
            return false;
        }
        match self
            .extension(OID_EXTENDED_KEY_USAGE)
            .map(|value| Reader(value).tagged(SEQUENCE))
        {
            None => true,
            Some(None) => false,
            Some(Some(list)) => Reader(list.value)
                .any(|oid| oid.value == purpose.oid() || oid.value == OID_ANY_PURPOSE),
        }
    }

    /// Which kinds of alternative names there are: DNS names, IP addresses.
    pub(super) fn alternative_names(&self) -> (bool, bool) {
        let list = self
            .extension(OID_SUBJECT_ALT_NAME)
            .and_then(|value| Reader(value).tagged(SEQUENCE));
        let has = |tag| list.is_some_and(|list| Reader(list.value).any(|name| name.tag == tag));
        (has(DNS_NAME), has(IP_ADDRESS))
    }

    /// Its alternative names that are names of hosts and addresses; what is
    /// neither, or is malformed, is left out.
    pub(super) fn named(&self) -> (Vec<String>, Vec<IpAddr>) {
        let list = self
            .extension(OID_SUBJECT_ALT_NAME)
            .and_then(|value| Reader(value).tagged(SEQUENCE));
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        for name in list.iter().flat_map(|list| Reader(list.value)) {
            match name.tag {
                DNS_NAME => names.extend(text(Tlv {
                    tag: IA5_STRING,
                    ..name
                })),
                IP_ADDRESS => {
                    let v4 = <[u8; 4]>::try_from(name.value).map(IpAddr::from);
                    let v6 = <[u8; 16]>::try_from(name.value).map(IpAddr::from);
                    addresses.extend(v4.or(v6));
                }
                _ => {}
            }
        }
        (names, addresses)
    }

    /// The subject's first common name; `None` too when it is not plain text.
    pub(super) fn common_name(&self) -> Option<String> {
        for set in Reader(self.subject).filter(|tlv| tlv.tag == SET) {
            for pair in Reader(set.value).filter(|tlv| tlv.tag == SEQUENCE) {
                let mut pair = Reader(pair.value);
                if pair.tagged(OID)?.value == OID_COMMON_NAME {
                    return text(pair.next()?);
                }
            }
        }
        None
    }

    /// The public key: content of its AlgorithmIdentifier, and its bits.
    pub(super) fn public_key(&self) -> Option<(&'a [u8], &'a [u8])> {
        let mut fields = Reader(Reader(self.spki).tagged(SEQUENCE)?.value);
        Some((
            fields.tagged(SEQUENCE)?.value,
            bits(fields.tagged(BIT_STRING)?)?,
        ))
    }

    fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extensions
            .iter()
            .find(|e| e.oid == oid)
            .map(|e| e.value)
    }
}

fn extensions(list: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut list = Reader(list);
    let mut found = Vec::new();
    while !list.0.is_empty() {
        let mut fields = Reader(list.tagged(SEQUENCE)?.value);
        let oid = fields.tagged(OID)?.value;
        let critical = fields
            .optional(BOOLEAN)
            .is_some_and(|flag| flag.value != [0]);
        found.push(Extension {
            oid,
            critical,
            value: fields.tagged(OCTET_STRING)?.value,
        });
    }
    Some(found)
}

fn bits(tlv: Tlv<'_>) -> Option<&[u8]> {
    match tlv.value.split_first()? {
        (0, bits) => Some(bits),
        _ => None,
    }
}

/// A zero byte inside would let a name end early for whoever reads it as C does.
fn text(tlv: Tlv<'_>) -> Option<String> {
    let text = std::str::from_utf8(tlv.value)
        .ok()
        .filter(|text| !text.contains('\0'))?;
    match tlv.tag {
        UTF8_STRING => Some(text.into()),
        PRINTABLE_STRING | IA5_STRING | TELETEX_STRING if text.is_ascii() => Some(text.into()),
        _ => None,
    }
}

/// Seconds since the Unix epoch.
fn seconds(tlv: Tlv<'_>) -> Option<i64> {
    let digits = std::str::from_utf8(tlv.value).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tlv.tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            // RFC 5280: two digits mean 1950 to 2049.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |from: usize| rest.get(from..from + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    Some(days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Counts from March, so that the leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_in_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_in_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tag: u8, text: &str) -> Option<i64> {
        seconds(Tlv {
            tag,
            value: text.as_bytes(),
            whole: &[],
        })
    }

    #[test]
    fn times_are_read() {
        assert_eq!(at(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(at(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(at(GENERALIZED_TIME, "20240229120000Z"), Some(1_709_208_000));
        assert_eq!(
            at(GENERALIZED_TIME, "19000301000000Z"),
            Some(-2_203_891_200)
        );
        for bad in [
            "",
            "Z",
            "7001010000Z",
            "701301000000Z",
            "70010100000äZ",
            "700101000000",
        ] {
            assert_eq!(at(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn every_truncation_and_flip_is_survived() {
        let der = super::super::tests::self_signed("db.example").der;
        assert!(Certificate::parse(&der).is_some());
        for end in 0..der.len() {
            assert!(Certificate::parse(&der[..end]).is_none(), "{end}");
        }
        for i in 0..der.len() {
            for bit in 0..8 {
                let mut bent = der.clone();
                bent[i] ^= 1 << bit;
                if let Some(certificate) = Certificate::parse(&bent) {
                    certificate.common_name();
                    certificate.alternative_names();
                    certificate.named();
                    certificate.fit_for(Purpose::Server);
                    certificate.is_authority();
                    certificate.public_key();
                }
            }
        }
    }
}
