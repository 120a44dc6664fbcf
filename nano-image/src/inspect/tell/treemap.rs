//! A tree of sizes, and a picture of it.

use std::fmt::Write as _;

use crate::inspect::model::{SizeReport, SizeTree};
use crate::types::ByteSize;

/// Width of the picture in pixels.
const WIDTH: f64 = 1600.0;
const HEIGHT: f64 = 1000.0;
/// Height of the title.
const TITLE: f64 = 44.0;
/// Height of the legend.
const LEGEND: f64 = 56.0;
/// Height of the name of a folder.
const HEADER: f64 = 15.0;
/// Frame of a folder.
const FRAME: f64 = 1.5;
/// Items that would be smaller, in square pixels, are drawn as one.
const MIN_AREA: f64 = 24.0;
/// Depth to which folders are drawn.
const MAX_DEPTH: usize = 24;
/// Hue and saturation of the largest groups, and of all others.
const COLOURS: [(u32, u32); 11] = [
    (210, 62),
    (28, 80),
    (120, 38),
    (355, 60),
    (270, 42),
    (48, 78),
    (185, 55),
    (325, 50),
    (85, 50),
    (16, 35),
    (240, 30),
];
const OTHERS: (u32, u32) = (210, 8);
/// Bookkeeping is grey.
const OVERHEAD: (u32, u32) = (220, 14);

#[derive(Clone, Copy, Debug)]
struct Rect {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

impl SizeReport {
    /// An SVG picture in which the area of each file or structure shows its size (a squarified treemap), with a legend.
    /// Each rectangle has a tooltip with path and size.
    pub fn to_svg(&self) -> String {
        let mut picture = Picture { svg: String::new(), groups: groups(&self.tree) };
        let _ = write!(
            picture.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let name = self.path.rsplit(['/', '\\']).next().unwrap_or_default();
        let title = format!("{name}: {} ({} bytes)", ByteSize::new(self.file_size), self.file_size);
        picture.text(8.0, 30.0, 22.0, "#222", &shortened(&title, WIDTH - 16.0, 22.0));
        let area = Rect { x: 0.0, y: TITLE, w: WIDTH, h: HEIGHT - TITLE - LEGEND };
        picture.children(&self.tree, area, "", 0, OTHERS);
        picture.legend();
        picture.svg + "</svg>\n"
    }
}

/// The groups that have a colour: folders of volumes, the folders in `Windows`, and the rest.
fn groups(tree: &SizeTree) -> Vec<(String, u64, (u32, u32))> {
    let mut groups = Vec::new();
    for (volume, child) in tree.sorted() {
        if !is_volume(volume) {
            continue;
        }
        for (name, folder) in child.sorted() {
            let path = format!("{volume}\\{name}");
            if name.eq_ignore_ascii_case("Windows") {
                groups
                    .extend(folder.sorted().into_iter().map(|(name, child)| (format!("{path}\\{name}"), child.bytes)));
            } else if !["file system", "free space"].contains(&name) {
                groups.push((path, folder.bytes));
            }
        }
    }
    groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let colours = COLOURS.into_iter().chain(std::iter::repeat(OTHERS));
    groups.into_iter().zip(colours).map(|((name, bytes), colour)| (name, bytes, colour)).collect()
}

/// Volumes are called by their number.
fn is_volume(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}

struct Picture {
    svg: String,
    groups: Vec<(String, u64, (u32, u32))>,
}

impl Picture {
    /// Draws the contents of `node` in `area`.
    fn children(&mut self, node: &SizeTree, area: Rect, path: &str, depth: usize, colour: (u32, u32)) {
        let children = node.sorted();
        let scale = area.w * area.h / node.bytes.max(1) as f64;
        let (drawn, small): (Vec<_>, Vec<_>) =
            children.iter().partition(|(_, child)| child.bytes as f64 * scale >= MIN_AREA);
        let mut areas: Vec<f64> = drawn.iter().map(|(_, child)| child.bytes as f64 * scale).collect();
        let rest: u64 = small.iter().map(|(_, child)| child.bytes).sum();
        if rest > 0 {
            areas.push(rest as f64 * scale);
        }
        let rects = squarified(&areas, area);
        for ((name, child), rect) in drawn.iter().zip(&rects) {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}\\{name}") };
            let colour = self.colour(&path, name, depth, colour);
            self.node(child, *rect, &path, name, depth, colour);
        }
        if let Some(rect) = rects.get(drawn.len()) {
            let title = format!("{path}: {} smaller ones, {}", small.len(), ByteSize::new(rest));
            self.leaf(*rect, &format!("{} smaller", small.len()), &title, rest, depth, colour);
        }
    }

    fn colour(&self, path: &str, name: &str, depth: usize, parent: (u32, u32)) -> (u32, u32) {
        if let Some((_, _, colour)) = self.groups.iter().find(|(group, ..)| group == path) {
            return *colour;
        }
        let overhead = depth == 0 && !is_volume(name) || depth == 1 && ["file system", "free space"].contains(&name);
        if overhead { OVERHEAD } else { parent }
    }

    fn node(&mut self, node: &SizeTree, rect: Rect, path: &str, name: &str, depth: usize, colour: (u32, u32)) {
        let is_folder = !node.children.is_empty() && depth < MAX_DEPTH;
        let inner = Rect { x: rect.x + FRAME, y: rect.y + FRAME, w: rect.w - 2.0 * FRAME, h: rect.h - 2.0 * FRAME };
        let title = format!("{path}: {} ({} bytes)", ByteSize::new(node.bytes), node.bytes);
        if !is_folder || inner.w < 8.0 || inner.h < 8.0 {
            return self.leaf(rect, name, &title, node.bytes, depth, colour);
        }
        let light = 78 - (4 * depth.min(6) as u32);
        self.rect(rect, &title, &format!("hsl({},{}%,{}%)", colour.0, colour.1, light - 16), "#fff");
        let text = format!("{name}  {}", ByteSize::new(node.bytes));
        let shown = shortened(&text, inner.w - 6.0, 11.0);
        let has_header = inner.h > 3.0 * HEADER && shown.chars().count() >= 4.min(text.chars().count());
        let mut inside = inner;
        if has_header {
            let ink = if light < 74 { "#fff" } else { "#111" };
            self.text(inner.x + 3.0, inner.y + 11.0, 11.0, ink, &shown);
            (inside.y, inside.h) = (inner.y + HEADER, inner.h - HEADER);
        }
        self.children(node, inside, path, depth + 1, colour);
    }

    fn leaf(&mut self, rect: Rect, name: &str, title: &str, bytes: u64, depth: usize, colour: (u32, u32)) {
        let light = 84 - (2 * depth.min(6) as u32);
        self.rect(rect, title, &format!("hsl({},{}%,{light}%)", colour.0, colour.1), "#fff");
        let size = 11.0;
        let shown = shortened(name, rect.w - 6.0, size);
        // A name of two letters and dots is not worth drawing.
        if rect.h < 15.0 || shown.is_empty() || shown != name && shown.chars().count() < 5 {
            return;
        }
        self.text(rect.x + 3.0, rect.y + 12.0, size, "#222", &shown);
        let bytes = ByteSize::new(bytes).to_string();
        if rect.h >= 29.0 && bytes == shortened(&bytes, rect.w - 6.0, 10.0) {
            self.text(rect.x + 3.0, rect.y + 25.0, 10.0, "#444", &bytes);
        }
    }

    fn legend(&mut self) {
        let shown: Vec<(String, u64, (u32, u32))> = self.groups.iter().take(COLOURS.len()).cloned().collect();
        let columns = shown.len().div_ceil(2).max(1);
        let width = WIDTH / columns as f64;
        for (index, (path, bytes, colour)) in shown.iter().enumerate() {
            let (x, y) =
                ((index % columns) as f64 * width + 6.0, HEIGHT - LEGEND + 8.0 + (index / columns) as f64 * 24.0);
            let rect = Rect { x, y, w: 16.0, h: 16.0 };
            self.rect(rect, path, &format!("hsl({},{}%,74%)", colour.0, colour.1), "#888");
            let name = path.split_once('\\').map_or(path.as_str(), |(_, name)| name);
            let text = format!("{name}  {}", ByteSize::new(*bytes));
            self.text(x + 22.0, y + 12.5, 12.0, "#222", &shortened(&text, width - 34.0, 12.0));
        }
    }

    fn rect(&mut self, rect: Rect, title: &str, fill: &str, stroke: &str) {
        let Rect { x, y, w, h } = rect;
        let _ = writeln!(
            self.svg,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{fill}\" stroke=\"{stroke}\" \
             stroke-width=\"0.5\"><title>{}</title></rect>",
            escaped(title)
        );
    }

    fn text(&mut self, x: f64, y: f64, size: f64, fill: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\" pointer-events=\"none\">{text}</text>"
        );
    }
}

/// Divides `area` into nearly square rectangles with `areas`, which must descend (Bruls, Huizing and van Wijk,
/// "Squarified Treemaps", 2000).
fn squarified(areas: &[f64], area: Rect) -> Vec<Rect> {
    let mut rects = Vec::with_capacity(areas.len());
    let (mut free, mut rest) = (area, areas);
    while !rest.is_empty() {
        let side = free.w.min(free.h).max(f64::MIN_POSITIVE);
        // The worst aspect ratio in a row.
        let worst = |sum: f64, most: f64, least: f64| {
            let square = side * side;
            (square * most / (sum * sum)).max(sum * sum / (square * least.max(f64::MIN_POSITIVE)))
        };
        let (mut count, mut sum, mut most, mut least) = (1, rest[0], rest[0], rest[0]);
        while let Some(&next) = rest.get(count) {
            // The last one may be larger than those before: it stands for all small items.
            if worst(sum + next, most.max(next), least.min(next)) > worst(sum, most, least) {
                break;
            }
            (count, sum, most, least) = (count + 1, sum + next, most.max(next), least.min(next));
        }
        let thickness = sum / side;
        let mut at = 0.0;
        for value in &rest[..count] {
            let length = value / sum * side;
            rects.push(if free.w >= free.h {
                Rect { x: free.x, y: free.y + at, w: thickness, h: length }
            } else {
                Rect { x: free.x + at, y: free.y, w: length, h: thickness }
            });
            at += length;
        }
        if free.w >= free.h {
            (free.x, free.w) = (free.x + thickness, (free.w - thickness).max(0.0));
        } else {
            (free.y, free.h) = (free.y + thickness, (free.h - thickness).max(0.0));
        }
        rest = &rest[count..];
    }
    rects
}

/// `text`, shortened to `width` in a font of `size`.
fn shortened(text: &str, width: f64, size: f64) -> String {
    let whole: f64 = text.chars().map(advance).sum();
    if whole * size <= width {
        return text.to_owned();
    }
    let mut room = width / size - advance('…');
    let fits = |c: &char| {
        room -= advance(*c);
        room >= 0.0
    };
    let short: String = text.chars().take_while(fits).collect();
    if short.is_empty() { short } else { short + "…" }
}

/// Width of a character relative to the font size. It is the largest among the usual sans-serif fonts (DejaVu,
/// Verdana).
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | '\'' | '|' | ' ' | '\\' | '/' => 0.36,
        'f' | 'r' | 't' | '-' | '(' | ')' => 0.43,
        'm' | 'w' | 'M' | 'W' | '…' | '%' | '@' => 1.0,
        '_' => 0.5,
        c if c.is_ascii_uppercase() => 0.74,
        c if c.is_ascii() => 0.64,
        _ => 1.0,
    }
}

/// Escapes text for XML, and removes characters that XML does not allow.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\u{FFFE}' | '\u{FFFF}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_fill_the_area_and_do_not_overlap() {
        let area = Rect { x: 10.0, y: 20.0, w: 300.0, h: 200.0 };
        let areas: Vec<f64> = [24, 12, 12, 6, 3, 2, 1].map(|share| f64::from(share) * 1000.0).to_vec();
        let rects = squarified(&areas, area);
        for (rect, wanted) in rects.iter().zip(&areas) {
            assert!((rect.w * rect.h - wanted).abs() < 1e-6, "{rect:?}");
            assert!(rect.x >= 10.0 && rect.y >= 20.0 && rect.x + rect.w <= 310.001 && rect.y + rect.h <= 220.001);
            assert!(rect.w.max(rect.h) / rect.w.min(rect.h) < 4.0, "{rect:?}");
        }
        for (index, a) in rects.iter().enumerate() {
            for b in &rects[..index] {
                let apart = a.x + a.w <= b.x + 1e-6
                    || b.x + b.w <= a.x + 1e-6
                    || a.y + a.h <= b.y + 1e-6
                    || b.y + b.h <= a.y + 1e-6;
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn labels_are_cut_to_their_room() {
        assert_eq!(shortened("abcdef", 100.0, 10.0), "abcdef");
        assert_eq!(shortened("abcdef", 30.0, 10.0), "abc…");
        assert_eq!(shortened("abcdef", 5.0, 10.0), "");
    }
}
