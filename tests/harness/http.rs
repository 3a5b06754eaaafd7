//! A small HTTP/1.1 client: one request per connection, and streams of server-sent events.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long a read may take: longer than any answer that waits for something.
const READ_BOUND: Duration = Duration::from_secs(90);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON ({}): {}", self.status, self.text()))
    }

    /// The body as JSON, if the status is 2xx.
    pub fn success(self) -> Result<Value> {
        ensure!(
            (200..300).contains(&self.status),
            "status {}: {}",
            self.status,
            self.text()
        );
        self.json()
    }
}

/// GET.
pub fn get(address: &str, path: &str) -> Result<Answer> {
    answer(send(address, "GET", path, &[], "")?)
}

/// POST of a JSON body.
pub fn post(address: &str, path: &str, body: &Value) -> Result<Answer> {
    let headers = [("Content-Type", "application/json")];
    answer(send(address, "POST", path, &headers, &body.to_string())?)
}

/// Any text as a part of a query.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                quoted.push(char::from(byte));
            }
            other => {
                let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
                quoted.extend(['%', digit(other >> 4), digit(other & 15)]);
            }
        }
    }
    quoted
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; `message` if the server names none.
    pub event: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data, lines joined.
    pub data: String,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<Body>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
}

impl Events {
    /// Opens the stream, after the event `last_id` if there is one.
    pub fn open(address: &str, path: &str, last_id: Option<&str>) -> Result<Self> {
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(last_id.map(|id| ("Last-Event-ID", id)));
        let (status, headers, mut body) = send(address, "GET", path, &headers, "")?;
        if status != 200 {
            let mut text = String::new();
            body.read_to_string(&mut text)?;
            anyhow::bail!("status {status}: {text}");
        }
        let kind = find(&headers, "content-type").unwrap_or_default();
        ensure!(kind.starts_with("text/event-stream"), "{kind}");
        let lines = BufReader::new(body);
        Ok(Self { lines, headers })
    }

    /// The next event, comments left out; `None` at the end of the stream.
    pub fn read(&mut self) -> Result<Option<Event>> {
        let mut event = Event::default();
        let mut data: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\r', '\n']);
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "" if line.is_empty() && !data.is_empty() => {
                    event.data = data.join("\n");
                    if event.event.is_empty() {
                        "message".clone_into(&mut event.event);
                    }
                    return Ok(Some(event));
                }
                "" if line.is_empty() => event = Event::default(),
                "event" => event.event = value,
                "id" => event.id = Some(value),
                "data" => data.push(value),
                _ => {}
            }
        }
    }
}

type Headers = Vec<(String, String)>;

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let mut all = headers.iter();
    let (_, value) = all.find(|(known, _)| known == name)?;
    Some(value)
}

fn answer((status, headers, mut body): (u16, Headers, Body)) -> Result<Answer> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(Answer {
        status,
        headers,
        body: bytes,
    })
}

fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, Headers, Body)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_BOUND))?;
    let length = body.len().to_string();
    let fixed = [
        ("Host", address),
        ("Content-Length", &length),
        ("Connection", "close"),
    ];
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in fixed.iter().chain(headers) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    stream.write_all(request.as_bytes())?;
    let mut source = BufReader::new(stream);
    let first = line(&mut source)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no status in {first:?}"))?;
    let mut headers = Headers::new();
    loop {
        let text = line(&mut source)?;
        let Some((name, value)) = text.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let chunked = find(&headers, "transfer-encoding") == Some("chunked");
    let length = find(&headers, "content-length").and_then(|text| text.parse().ok());
    let left = if chunked {
        0
    } else {
        length.unwrap_or(u64::MAX)
    };
    let body = Body {
        source,
        chunked,
        left,
        started: false,
        whole: chunked || length.is_some(),
    };
    Ok((status, headers, body))
}

fn line(source: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(source.read_line(&mut line)? > 0, "the answer ends early");
    Ok(line.trim_end().to_owned())
}

/// The body of an answer, chunks put together.
#[derive(Debug)]
struct Body {
    source: BufReader<TcpStream>,
    chunked: bool,
    /// Bytes left of the chunk, or of the whole body.
    left: u64,
    started: bool,
    /// Whether an end of the connection before `left` is used up is an error.
    whole: bool,
}

impl Body {
    fn next_chunk(&mut self) -> Result<u64> {
        if std::mem::replace(&mut self.started, true) {
            line(&mut self.source)?;
        }
        let size = line(&mut self.source)?;
        let digits = size.split(';').next().unwrap_or_default();
        u64::from_str_radix(digits, 16).with_context(|| format!("no size of a chunk: {size:?}"))
    }
}

impl Read for Body {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.chunked && self.left == 0 {
            self.left = self.next_chunk().map_err(std::io::Error::other)?;
            // The last chunk is empty; asked again, there is none after it.
            self.chunked = self.left > 0;
        }
        let count = target
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut target[..count])?;
        if read == 0 && self.whole {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}
