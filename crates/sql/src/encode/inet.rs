//! `inet` and `cidr`, from text: family, length of the mask, whether it is a cidr, number of bytes, bytes
//! (`network_recv` in `utils/adt/network.c`).

use std::net::IpAddr;

use arrow::array::Array;

use super::{
    Refusal,
    bytes::text_at,
    refusal,
    write::{Writer, sized},
};

/// `PGSQL_AF_INET` and `PGSQL_AF_INET6` (`utils/inet.h`): the same on every platform.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

/// An address with the length of its mask; of an IPv4 address the first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    bytes: [u8; 16],
    len: u8,
    mask_bits: u8,
}

pub(super) fn inet(array: &dyn Array, cidr: bool) -> Option<Writer<'_>> {
    let at = text_at(array)?;
    Some(Box::new(move |row, out| {
        let network = parse(at(row), cidr)?;
        sized(out, |out| {
            let family = if network.len == 4 { FAMILY_V4 } else { FAMILY_V6 };
            out.extend_from_slice(&[family, network.mask_bits, u8::from(cidr), network.len]);
            out.extend_from_slice(&network.bytes[..usize::from(network.len)]);
            Ok(())
        })
    }))
}

/// A whole address, with or without `/bits`. A cidr has no bit set beyond its mask: PostgreSQL would answer such bytes with
/// the error for a wrong format.
pub(super) fn parse(text: &str, cidr: bool) -> Result<Network, Box<Refusal>> {
    let type_name = if cidr { "cidr" } else { "inet" };
    let malformed = || refusal("22P02", format!("invalid input syntax for type {type_name}"));
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let mut bytes = [0; 16];
    let len: u8 = match address.parse().map_err(|_| malformed())? {
        IpAddr::V4(address) => {
            bytes[..4].copy_from_slice(&address.octets());
            4
        }
        IpAddr::V6(address) => {
            bytes = address.octets();
            16
        }
    };
    let mask_bits = match bits {
        None => len * 8,
        Some("0") => 0,
        Some(bits) if !bits.starts_with('0') && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            bits.parse().map_err(|_| malformed())?
        }
        Some(_) => return Err(malformed()),
    };
    if mask_bits > len * 8 {
        return Err(malformed());
    }
    let network = Network { bytes, len, mask_bits };
    if cidr && network.masked() != network.bytes {
        return Err(refusal("22P02", "a cidr has bits set to the right of its mask"));
    }
    Ok(network)
}

impl Network {
    fn masked(&self) -> [u8; 16] {
        let kept = u128::MAX.checked_shl(128 - u32::from(self.mask_bits)).unwrap_or(0);
        (u128::from_be_bytes(self.bytes) & kept).to_be_bytes()
    }

    /// As PostgreSQL compares (`network_cmp_internal`): family, network, length of the mask, address.
    pub(super) fn sort_key(&self, out: &mut Vec<u8>) {
        out.push(self.len);
        out.extend_from_slice(&self.masked());
        out.push(self.mask_bits);
        out.extend_from_slice(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/08",
            "::/00",
            "::1/129",
            "::1%lo",
            " ::1",
            "localhost",
        ] {
            assert!(parse(text, false).is_err(), "{text}");
        }
        assert!(parse("10.1.2.3/8", false).is_ok());
        assert!(parse("10.1.2.3/8", true).is_err());
        assert!(parse("10.0.0.0/8", true).is_ok());
        assert!(parse("::/0", true).is_ok());
    }

    #[test]
    fn networks_sort_as_postgresql_sorts_them() {
        let key = |text: &str| {
            let mut out = Vec::new();
            parse(text, false)
                .map(|network| network.sort_key(&mut out))
                .ok()
                .unwrap();
            out
        };
        let sorted = [
            "10.0.0.0/8",
            "10.0.0.1/8",
            "10.0.0.0/16",
            "10.0.0.5",
            "10.1.0.0/16",
            "11.0.0.0/8",
            "::1",
        ];
        assert!(sorted.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
    }
}
