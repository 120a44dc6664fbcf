//! Writes a document as UTF-8.

use std::fmt::Write;

use quick_xml::escape::partial_escape;

use super::{Document, Element, Node};

impl Document {
    /// As UTF-8.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        for node in &self.before {
            node.write(&mut out, 0);
            out.push('\n');
        }
        self.root.write(&mut out, 0);
        for node in &self.after {
            out.push('\n');
            node.write(&mut out, 0);
        }
        out.push('\n');
        out.into_bytes()
    }
}

impl Element {
    fn write(&self, out: &mut String, depth: usize) {
        let _ = write!(out, "<{}", self.name);
        for attribute in &self.attributes {
            let _ = write!(out, " {}=\"{}\"", attribute.name, escape(&attribute.value, true));
        }
        if self.content.is_empty() {
            out.push_str(" />");
            return;
        }
        out.push('>');
        // Elements that contain no text can be indented.
        let indent = !self.content.iter().any(|node| matches!(node, Node::Text(_)));
        for node in &self.content {
            if indent {
                let _ = write!(out, "\n{:1$}", "", 2 * (depth + 1));
            }
            node.write(out, depth + 1);
        }
        if indent {
            let _ = write!(out, "\n{:1$}", "", 2 * depth);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

impl Node {
    fn write(&self, out: &mut String, depth: usize) {
        let _ = match self {
            Self::Element(element) => {
                element.write(out, depth);
                Ok(())
            }
            Self::Text(text) => write!(out, "{}", escape(text, false)),
            Self::Comment(text) => write!(out, "<!--{text}-->"),
            Self::Instruction(text) => write!(out, "<?{text}?>"),
        };
    }
}

fn escape(text: &str, attribute: bool) -> String {
    let escaped = partial_escape(text).replace('\r', "&#13;");
    match attribute {
        true => escaped.replace('"', "&quot;").replace('\t', "&#9;").replace('\n', "&#10;"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        String::from_utf8(Document::parse(text.as_bytes(), "file", 100).unwrap().to_bytes()).unwrap()
    }

    #[test]
    fn what_is_read_is_written_again() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- a -->\n<a xmlns=\"u\" b=\"&lt;&quot;&#10;\">x &amp; \
            <c:d xmlns:c=\"v\" /><![CDATA[<e>]]>&#13;</a>\n<?p q?>";
        let written = round(text);
        assert_eq!(written, round(&written));
        assert!(written.contains("b=\"&lt;&quot;&#10;\">x &amp; <c:d xmlns:c=\"v\" />&lt;e&gt;&#13;</a>"), "{written}");
        assert!(written.contains("<!-- a -->") && written.contains("<?p q?>"), "{written}");
    }
}
