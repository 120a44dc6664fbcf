//! Lays out the text after the flags in help and manual pages, for terminals of 80 columns.

/// Manual pages are indented by five more columns.
const COLUMNS: usize = 75;

/// `text` with each paragraph on one line, which is wrapped when it is shown; commands are broken as shells allow; one
/// exit status per line.
pub fn tidy(text: &str) -> String {
    text.split("\n\n").map(block).collect::<Vec<_>>().join("\n\n")
}

fn block(block: &str) -> String {
    let list = block.split_once('\n').filter(|(title, rest)| title.ends_with(':') && rest.starts_with(' '));
    let Some((title, rest)) = list else {
        return block.replace('\n', " ");
    };
    let lines = rest.lines().flat_map(|line| match (title, line.trim_start()) {
        ("Exit status:", all) => all.split("   ").map(|one| format!("  {one}")).collect(),
        (_, command) if command.starts_with("nano-image ") => broken(line),
        _ => vec![line.to_owned()],
    });
    std::iter::once(title.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Breaks a command into lines that are short enough: before flags, pipes and redirections.
fn broken(line: &str) -> Vec<String> {
    let indent = " ".repeat(line.len() - line.trim_start().len());
    let mut is_quoted = false;
    let words = line.trim_start().split(|c| {
        is_quoted ^= c == '\'';
        c == ' ' && !is_quoted
    });
    let mut parts: Vec<String> = Vec::new();
    let mut is_piped = false;
    for word in words {
        let begins = word == "|" || word == ">" || (word.starts_with('-') && word.len() > 1 && !is_piped);
        is_piped |= word == "|";
        match parts.last_mut() {
            Some(part) if !begins => *part += &format!(" {word}"),
            _ => parts.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            // Two more characters for the backslash.
            Some(last) if last.chars().count() + 1 + part.chars().count() + 2 <= COLUMNS => {
                *last += &format!(" {part}")
            }
            Some(last) => {
                *last += " \\";
                lines.push(format!("{indent}  {part}"));
            }
            None => lines.push(format!("{indent}{part}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_flags_fits_a_terminal() {
        let command = crate::args::command();
        for inner in command.get_subcommands().chain([&command]) {
            let Some(help) = inner.get_after_long_help() else { continue };
            for block in help.to_string().split("\n\n").filter(|block| block.contains(":\n ")) {
                for line in block.lines() {
                    assert!(line.chars().count() <= COLUMNS, "{}: {line}", inner.get_name());
                }
            }
        }
    }

    #[test]
    fn commands_stay_commands() {
        let long =
            "  nano-image inspect --hives --json nano.vhdx | jq '.[].services[] | select(.start == \"automatic\")'";
        let lines = broken(long);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("nano.vhdx \\") && lines[1].starts_with("    | jq '.[]"), "{lines:?}");
        let joined = lines.join("\n").replace(" \\\n", " ");
        assert_eq!(joined.split_whitespace().collect::<Vec<_>>(), long.split_whitespace().collect::<Vec<_>>());
        assert_eq!(tidy("a\nb\n\nExit status:\n  0 x   1 y"), "a b\n\nExit status:\n  0 x\n  1 y");
    }
}
