//! Changes bytes.

use crate::draw::Draw;

/// No text grows beyond this by changes: above what a proxy takes for all headers of a request.
const MOST: usize = 64 * 1024;

/// What readers of requests and tokens stumble over.
const PIECES: [&[u8]; 40] = [
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"%2F",
    b"%2f",
    b"%5C",
    b"\\",
    b";",
    b"%25",
    b"%",
    b"%2",
    b"%00",
    b"%41",
    b"?",
    b"#",
    b"&",
    b"=",
    b"+",
    b",",
    b" ",
    b"\t",
    b"\"",
    b".",
    b"..",
    b":",
    b":443",
    b"*",
    b"{",
    b"}",
    b"[",
    b"\0",
    b"\r\n",
    b"\xff",
    "\u{e9}".as_bytes(),
    "\u{212a}".as_bytes(),
    b"Bearer ",
    b"access_token=",
    b"session=",
    b"://",
];

/// Makes one change.
pub(crate) fn change(bytes: &mut Vec<u8>, draw: &mut Draw<'_>) {
    let at = draw.below(bytes.len() + 1);
    let end = (at + draw.below(16)).min(bytes.len());
    match draw.below(9) {
        0 => insert(bytes, at, draw.one::<&[u8]>(&PIECES)),
        1 => insert(bytes, at, &draw.bytes(8)),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = draw.byte();
            }
        }
        5 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << draw.below(8);
            }
        }
        6 => {
            // Many times over: what takes longer than the text is long shows here.
            let times = 1 << draw.below(14);
            let piece = if at == end {
                draw.one::<&[u8]>(&PIECES).to_vec()
            } else {
                bytes[at..end].to_vec()
            };
            insert(bytes, at, &piece.repeat(times.min(MOST / piece.len().max(1))));
        }
        7 => {
            for byte in &mut bytes[at..end] {
                let upper = byte.is_ascii_uppercase();
                *byte = if upper { byte.to_ascii_lowercase() } else { byte.to_ascii_uppercase() };
            }
        }
        _ => {
            // The same, escaped.
            let escaped: String =
                bytes[at..end].iter().map(|byte| format!("%{byte:02X}")).collect();
            bytes.splice(at..end, escaped.into_bytes());
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() + piece.len() <= MOST {
        bytes.splice(at..at, piece.iter().copied());
    }
}

/// The same, as text.
pub(crate) fn change_text(text: &mut String, draw: &mut Draw<'_>) {
    let mut bytes = std::mem::take(text).into_bytes();
    change(&mut bytes, draw);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}
