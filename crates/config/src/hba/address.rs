//! The addresses of a rule.

use std::net::IpAddr;

use crate::error::{Problem, quoted};

/// Which addresses are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Net {
    All,
    /// Address and mask, each as a number.
    V4(u32, u32),
    V6(u128, u128),
}

impl Net {
    pub fn has(self, address: IpAddr) -> bool {
        // A socket for both versions reports an IPv4 client as a mapped address.
        match (self, address.to_canonical()) {
            (Net::All, _) => true,
            (Net::V4(net, mask), IpAddr::V4(ip)) => u32::from(ip) & mask == net,
            (Net::V6(net, mask), IpAddr::V6(ip)) => u128::from(ip) & mask == net,
            _ => false,
        }
    }

    /// `10.0.0.0/8`, or an address with its mask in a word of its own.
    pub fn read(word: &str, mask: Option<&str>) -> Result<Net, Problem> {
        let (address, bits) = match word.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (word, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Err(no_address(word));
        };
        let net =
            match (ip, bits, mask) {
                (IpAddr::V4(ip), Some(bits), _) => {
                    let bits = number(bits, 32)?;
                    Net::V4(ip.into(), u32::MAX.checked_shl(32 - bits).unwrap_or(0))
                }
                (IpAddr::V6(ip), Some(bits), _) => {
                    let bits = number(bits, 128)?;
                    Net::V6(ip.into(), u128::MAX.checked_shl(128 - bits).unwrap_or(0))
                }
                (_, None, None) => {
                    return Err(Problem::new(format!("{} has no mask", quoted(word))).help(
                        format!("write `{address}/{}` for this address alone", width(ip)),
                    ));
                }
                (ip, None, Some(mask)) => match (ip, mask.parse::<IpAddr>()) {
                    (IpAddr::V4(ip), Ok(IpAddr::V4(mask))) => Net::V4(ip.into(), mask.into()),
                    (IpAddr::V6(ip), Ok(IpAddr::V6(mask))) => Net::V6(ip.into(), mask.into()),
                    _ => {
                        return Err(Problem::new(format!(
                            "expected the mask of {address}, found {}",
                            quoted(mask)
                        ))
                        .help(format!(
                            "write the address with its bits: `{address}/{}`",
                            width(ip)
                        )));
                    }
                },
            };
        Ok(net)
    }

    pub fn is_whole(self) -> bool {
        match self {
            Net::All => true,
            Net::V4(net, mask) => net & !mask == 0,
            Net::V6(net, mask) => net & !mask == 0,
        }
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(bits: &str, max: u32) -> Result<u32, Problem> {
    let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let bits = bits.parse().ok().filter(|bits| digits && *bits <= max);
    bits.ok_or_else(|| Problem::new(format!("a mask here has 0 to {max} bits")))
}

fn no_address(word: &str) -> Problem {
    let help = "write an address with its mask, such as 10.0.0.0/8 or ::1/128, or all";
    match word {
        "samehost" | "samenet" => Problem::new(format!("`{word}` is not read, as in PgBouncer"))
            .why("the machine's addresses may change while the rules stand")
            .help(help),
        _ => Problem::new(format!("{} is no address", quoted(word)))
            .why("names of hosts are not looked up, as in PgBouncer")
            .help(help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_their_addresses_and_no_others() {
        let rows = [
            (
                "199.199.199.199/32",
                None,
                "199.199.199.199",
                "199.199.199.198",
            ),
            ("128.0.0.0/1", None, "254.1.1.1", "127.255.255.255"),
            ("127.0.0.0", Some("255.255.255.0"), "127.0.0.3", "127.0.1.4"),
            ("ff20::/12", None, "ff22:3::1", "ff11::1"),
            ("::1/128", None, "::1", "::2"),
            ("0.0.0.0/0", None, "::ffff:9.9.9.9", "::1"),
            ("::/0", None, "::2", "1.2.3.4"),
            ("fe80::", Some("ffc0::"), "fe80::7", "ff00::1"),
        ];
        for (word, mask, inside, outside) in rows {
            let net = Net::read(word, mask).unwrap();
            assert!(net.has(inside.parse().unwrap()), "{word}: {inside}");
            assert!(!net.has(outside.parse().unwrap()), "{word}: {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (word, mask) in [
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/99999999999", None),
            ("::/129", None),
            ("10.0.0.0", None),
            ("10.0.0.0", Some("md5")),
            ("10.0.0.0", Some("ff::")),
            ("db.example.com", None),
            (".example.com", None),
            ("samehost", None),
            ("samenet", None),
        ] {
            assert!(Net::read(word, mask).is_err(), "{word} {mask:?}");
        }
    }
}
