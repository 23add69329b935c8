//! The functions of table values: some of Perl's, and xCAT's own six.

use super::Stop;
use super::run::Value;

/// Calls a function. None: its arguments are more than is understood here.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Result<Option<Value>, Stop> {
    let text = |at: usize| arguments.get(at).map(Value::text).unwrap_or_default();
    let number = |at: usize| arguments.get(at).map_or(0, Value::integer);
    let value = match name {
        "int" => Value::Integer(number(0)),
        "abs" => Value::Integer(number(0).wrapping_abs()),
        "length" => Value::Integer(text(0).len() as i64),
        "ord" => Value::Integer(text(0).bytes().next().map_or(0, i64::from)),
        "chr" => match u8::try_from(number(0)) {
            Ok(byte) if byte.is_ascii() => Value::Text(char::from(byte).to_string()),
            _ => return Ok(None),
        },
        "hex" => return Ok(radix(text(0).trim_start_matches("0x"), 16)),
        "oct" => return Ok(octal(&text(0))),
        "uc" => Value::Text(text(0).to_ascii_uppercase()),
        "lc" => Value::Text(text(0).to_ascii_lowercase()),
        "ucfirst" => Value::Text(first(&text(0), char::to_ascii_uppercase)),
        "lcfirst" => Value::Text(first(&text(0), char::to_ascii_lowercase)),
        "sprintf" => return Ok(formatted(&text(0), arguments.get(1..).unwrap_or_default())),
        "join" => {
            let items = arguments.iter().skip(1).map(Value::text);
            Value::Text(items.collect::<Vec<_>>().join(&text(0)))
        }
        "substr" => return Ok(substring(arguments)),
        "index" | "rindex" if arguments.len() == 2 => {
            let (text, wanted) = (text(0), text(1));
            let found = if name == "index" {
                text.find(&wanted)
            } else {
                text.rfind(&wanted)
            };
            Value::Integer(found.map_or(-1, |at| at as i64))
        }
        "mknum" => Value::Integer(text(0).bytes().map(i64::from).sum()),
        "a2idx" => Value::Integer(letter(&text(0)) - 96),
        "a2zidx" => Value::Integer(letter(&text(0)) - 97),
        "dim2idx" => Value::Integer(row_major(arguments)),
        "skip" => return Ok(skipped(number(0), &text(1))),
        "ipadd" => {
            // Division by nothing is Perl's error.
            return added(arguments).map(Some).ok_or(Stop::Error);
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn first(text: &str, change: impl Fn(&char) -> char) -> String {
    let mut chars = text.chars();
    let head = chars.next().map(|c| change(&c));
    head.into_iter().chain(chars).collect()
}

fn radix(digits: &str, radix: u32) -> Option<Value> {
    let digits: String = digits.chars().take_while(|c| c.is_digit(radix)).collect();
    if digits.is_empty() {
        return Some(Value::Integer(0));
    }
    i64::from_str_radix(&digits, radix).ok().map(Value::Integer)
}

fn octal(text: &str) -> Option<Value> {
    let text = text.trim_start();
    match text.get(..2) {
        Some("0x" | "0X") => radix(&text[2..], 16),
        Some("0b" | "0B") => radix(&text[2..], 2),
        _ => radix(text, 8),
    }
}

fn substring(arguments: &[Value]) -> Option<Value> {
    if !(2..=3).contains(&arguments.len()) {
        return None;
    }
    let text = arguments[0].text();
    if !text.is_ascii() {
        return None;
    }
    let length = text.len() as i64;
    let from = match arguments[1].integer() {
        from if from < 0 => from + length,
        from => from,
    };
    if from < 0 || from > length {
        return Some(Value::Undefined);
    }
    let to = match arguments.get(2).map(Value::integer) {
        None => length,
        Some(count) if count < 0 => length + count,
        Some(count) => from.saturating_add(count).min(length),
    };
    let range = from as usize..to.max(from) as usize;
    Some(Value::Text(text[range].to_string()))
}

/// `%d`, `%s`, `%x` and their kind, with flags, width and precision.
fn formatted(format: &str, arguments: &[Value]) -> Option<Value> {
    let mut arguments = arguments.iter();
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%')?;
        let (spec, kind) = (&rest[..end], rest[end..].chars().next()?);
        rest = &rest[end + 1..];
        if kind == '%' {
            out.push('%');
            continue;
        }
        let flags: String = spec.chars().take_while(|c| "-+ 0#".contains(*c)).collect();
        let (width, precision) = match spec[flags.len()..].split_once('.') {
            Some((width, precision)) => (width, Some(precision)),
            None => (&spec[flags.len()..], None),
        };
        let size = |digits: &str| match digits {
            "" => Some(0),
            digits => digits.parse::<usize>().ok().filter(|size| *size <= 1000),
        };
        let width = size(width)?;
        let precision = precision
            .map(size)
            .map_or(Some(None), |size| size.map(Some))?;
        let value = arguments.next().cloned().unwrap_or(Value::Undefined);
        let body = digits(kind, &value, &flags, precision)?;
        let missing = width.saturating_sub(body.len());
        if flags.contains('-') {
            out.push_str(&body);
            out.push_str(&" ".repeat(missing));
        } else if flags.contains('0') && (precision.is_none() || kind == 's') {
            let sign = body.len() - body.trim_start_matches(['-', '+', ' ']).len();
            let sign = if kind == 's' { 0 } else { sign };
            out.push_str(&body[..sign]);
            out.push_str(&"0".repeat(missing));
            out.push_str(&body[sign..]);
        } else {
            out.push_str(&" ".repeat(missing));
            out.push_str(&body);
        }
    }
    out.push_str(rest);
    Some(Value::Text(out))
}

fn digits(kind: char, value: &Value, flags: &str, precision: Option<usize>) -> Option<String> {
    let number = value.integer();
    let digits = match kind {
        's' if flags.contains('#') => return None,
        's' => {
            let text = value.text();
            return match precision {
                Some(length) if length < text.len() => text.get(..length).map(String::from),
                _ => Some(text),
            };
        }
        'c' => {
            return u8::try_from(number)
                .ok()
                .filter(u8::is_ascii)
                .map(|b| char::from(b).to_string());
        }
        _ if flags.contains('#') => return None,
        'd' | 'i' => number.unsigned_abs().to_string(),
        'u' => (number as u64).to_string(),
        'x' => format!("{:x}", number as u64),
        'X' => format!("{:X}", number as u64),
        'o' => format!("{:o}", number as u64),
        'b' => format!("{:b}", number as u64),
        _ => return None,
    };
    let zeros = "0".repeat(precision.unwrap_or(0).saturating_sub(digits.len()));
    let sign = match kind {
        'd' | 'i' if number < 0 => "-",
        'd' | 'i' if flags.contains('+') => "+",
        'd' | 'i' if flags.contains(' ') => " ",
        _ => "",
    };
    Some(format!("{sign}{zeros}{digits}"))
}

/// The byte of a letter, in lower case.
fn letter(text: &str) -> i64 {
    let byte = text.bytes().next().unwrap_or(0);
    i64::from(byte.to_ascii_lowercase())
}

/// `dim2idx(v,size,v,size,...,v)`: counted from 1, the last one fastest.
fn row_major(arguments: &[Value]) -> i64 {
    let mut index = 0_i64;
    for (at, value) in arguments.iter().enumerate().step_by(2) {
        let position = value.integer();
        let last = at + 1 >= arguments.len();
        let size = arguments.get(at + 1).map_or(1, Value::integer);
        index = index.wrapping_add(if last {
            position
        } else {
            position.wrapping_sub(1)
        });
        if !last {
            index = index.wrapping_mul(size);
        }
    }
    index
}

/// `skip(i,"start[:count],...")`: the index among those that are not skipped, -1 for one that is.
/// The starts must go up; others are not understood.
fn skipped(index: i64, list: &str) -> Option<Value> {
    let (mut result, mut before) = (index, i64::MIN);
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let (start, count) = item.split_once(':').unwrap_or((item, "1"));
        let start: i64 = start.trim().parse().ok()?;
        let count: i64 = count.trim().parse().ok()?;
        if start < before {
            return None;
        }
        before = start;
        if index < start {
            break;
        }
        if index < start.saturating_add(count) {
            return Some(Value::Integer(-1));
        }
        result -= count;
    }
    Some(Value::Integer(result))
}

/// `ipadd(b1,b2,b3,b4,add,skipstart,skipend)`: carries into the third byte only, as xCAT's does.
fn added(arguments: &[Value]) -> Option<Value> {
    let number = |at: usize| arguments.get(at).map_or(0, Value::integer);
    let (start, end) = (number(5), number(6));
    let usable = 256_i64.wrapping_sub(start).wrapping_sub(end);
    let position = number(3)
        .max(start)
        .wrapping_sub(start)
        .wrapping_add(number(4));
    let third = number(2).wrapping_add(position.checked_div(usable)?);
    let fourth = position.checked_rem(usable)?.wrapping_add(start);
    Some(Value::Text(format!(
        "{}.{}.{third}.{fourth}",
        number(0),
        number(1)
    )))
}
