//! Lists of machines: CSV, JSON lines or TOML. A column is a flag of `build` for one machine, by its long name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::{Arg, FromArgMatches};
use nano_image::{Error, MachineConfig, Result, Seed, nearest};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use toml::de::DeValue;

use crate::args::{Arguments, Command, SeedArgument};
use crate::{recipe, secret, text_file, usage};

/// Headings of the flags for one machine.
const HEADINGS: [&str; 2] = ["Machine", "Network"];

/// The forms that a list may have.
const FORMS: &str = "a list is CSV with a line of names first, JSON with one machine in a line and no brackets around \
                     them, or TOML with a [[machine]] each";

/// A machine of the list.
pub struct Row {
    pub name: String,
    /// Where its passwords are.
    pub secret: Vec<String>,
    pub seed: Option<Seed>,
    /// Only its own settings.
    own: MachineConfig,
    /// Which flags it has.
    keys: Vec<String>,
    /// Its place in the list, for messages.
    place: String,
}

/// Reads a list and checks all of it.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = text_file::read(path, "list of machines")?;
    let folder = path.parent().unwrap_or(Path::new(""));
    rows(&text, folder).map_err(|error| error.with_path(path))
}

fn rows(text: &str, folder: &Path) -> Result<Vec<Row>> {
    let header = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().collect::<String>();
    let is_toml = text.lines().any(|line| header(line) == "[[machine]]");
    let objects = match text.trim_start().chars().next() {
        Some('{') => json_lines(text)?,
        _ if is_toml => toml_tables(text)?,
        Some('[') => {
            let message = "line 1: a list of machines does not begin with a bracket";
            return Err(Error::recipe(message).with_hint(FORMS));
        }
        _ => csv(text)?,
    };
    if objects.is_empty() {
        return Err(Error::recipe("the list has no machine").with_hint(FORMS));
    }
    let command = recipe::lenient_command();
    let build = command.find_subcommand("build").expect("a subcommand");
    let is_of_machine = |arg: &&Arg| {
        arg.get_id() == "seed" || arg.get_help_heading().is_some_and(|heading| HEADINGS.contains(&heading))
    };
    let known: Vec<&Arg> = build.get_arguments().filter(is_of_machine).collect();
    let mut parser = recipe::lenient_command();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut rows = Vec::new();
    for (place, object) in objects {
        let row = row(object, folder, &known, &mut parser, &place).map_err(|error| error.within(&place))?;
        if let Some(other) = names.insert(row.name.to_lowercase(), place.clone()) {
            let error = Error::recipe(format!("{place}: the name `{}` is also that of {other}", row.name));
            return Err(error.with_hint("give each machine its own name"));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn row(
    mut object: Map<String, Value>,
    folder: &Path,
    known: &[&Arg],
    parser: &mut clap::Command,
    place: &str,
) -> Result<Row> {
    object.retain(|_, value| !value.is_null() && value != "" && value != &Value::Array(Vec::new()));
    let name = object.remove("name").or_else(|| object.get("computer-name").cloned());
    let name = match name {
        Some(Value::String(name)) => name,
        Some(_) => {
            let error = Error::recipe("the `name` is not one text");
            return Err(error.with_hint("give one name, in JSON and TOML in quotes: the files are called by it"));
        }
        None => return Err(Error::recipe("the machine has no `name`").with_hint("name it: the files are called by it")),
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':', '*', '\0']) {
        let hint = "its files get this name: letters, digits and hyphens work everywhere";
        return Err(Error::recipe(format!("`{name}` cannot be the name of a file")).with_hint(hint));
    }
    let mut flags: Vec<OsString> = ["nano-image", "build"].map(OsString::from).into();
    for (key, value) in &object {
        let Some(arg) = known.iter().find(|arg| arg.get_long() == Some(key)) else {
            let names = known.iter().filter_map(|arg| arg.get_long()).chain(["name"]);
            let hint = match nearest(key, names) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "columns are the flags of `build` for one machine: see `nano-image build --help`".into(),
            };
            return Err(Error::recipe(format!("there is no column `{key}`")).with_hint(hint));
        };
        if key == "secret" && value.to_string().contains("=stdin") {
            return Err(Error::recipe("a list cannot take passwords from standard input")
                .with_hint("name a file or a variable: admin=file:PATH, admin=env:VARIABLE"));
        }
        let said = recipe::values(arg, value, folder);
        flags.extend(said.map_err(|message| Error::recipe(format!("`{key}` {message}")))?);
    }
    let matches = parser.try_get_matches_from_mut(flags);
    let arguments = matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| {
        let told = usage::mistake(&error, parser);
        told.unwrap_or_else(|| Error::recipe(usage::message(&error)))
    })?;
    let Command::Build(build) = arguments.command else { return Err(Error::recipe("not flags of `build`")) };
    let (own, secret, seed) = (build.machine.config(&build.network), build.machine.secret, build.seed);
    secret.iter().try_for_each(|text| secret::check(text))?;
    let seed = match seed {
        Some(SeedArgument::Random) => {
            let error = Error::recipe("a list takes no random seeds");
            return Err(
                error.with_hint("leave it out: each machine has identifiers of its own, the same in a second run")
            );
        }
        Some(SeedArgument::Given(seed)) => Some(seed),
        None => None,
    };
    let keys = object.into_iter().map(|(key, _)| key).collect();
    Ok(Row { name, secret, seed, own, keys, place: place.into() })
}

/// Checks everything about all machines that needs no file.
pub fn check(rows: &[Row], list: &Path, base: &MachineConfig) -> Result<()> {
    let check = |row: &Row| row.config(base)?.check();
    rows.iter().try_for_each(|row| check(row).map_err(|error| error.within(&row.place).with_path(list)))
}

impl Row {
    /// The settings of this machine: its own, and else those of the recipe.
    pub fn config(&self, base: &MachineConfig) -> Result<MachineConfig> {
        let not_told = |error| Error::unsupported(format!("settings of a machine: {error}"));
        let value = |config: &MachineConfig| serde_json::to_value(config).map_err(not_told);
        let (mut all, row) = (value(base)?, value(&self.own)?);
        let object = all.as_object_mut().expect("settings are an object");
        for key in self.keys.iter().filter(|key| !["secret", "seed"].contains(&key.as_str())) {
            object.remove(key);
            object.extend(row.get(key).map(|value| (key.clone(), value.clone())));
        }
        let is_named = self.keys.iter().any(|key| key == "computer-name");
        if object.contains_key("domain-blob") && !is_named {
            object.remove("computer-name");
        } else if !is_named {
            object.insert("computer-name".into(), self.name.clone().into());
        }
        let mut config: MachineConfig = serde_json::from_value(all).map_err(not_told)?;
        config.user_passwords = base.user_passwords.clone();
        Ok(config)
    }
}

type Objects = Vec<(String, Map<String, Value>)>;

fn json_lines(text: &str) -> Result<Objects> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let Pairs(pairs) =
                serde_json::from_str(line).map_err(|error| text_file::json_mistake(&error, number).with_hint(FORMS))?;
            let mut object = Map::new();
            for (key, value) in pairs {
                if object.contains_key(&key) {
                    let error = Error::recipe(format!("line {number}: the key `{key}` is there twice"));
                    return Err(error.with_hint("several values stand in brackets: [\"a\", \"b\"]"));
                }
                object.insert(key, value);
            }
            Ok((format!("line {number}"), object))
        })
        .collect()
}

/// The keys of a JSON object with their values, including keys that occur twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn toml_tables(text: &str) -> Result<Objects> {
    let table = text_file::toml(text)?;
    let lines = text_file::Lines::of(text);
    let mut objects = Vec::new();
    for (key, value) in table.get_ref() {
        let (DeValue::Array(tables), "machine") = (value.get_ref(), &**key.get_ref()) else {
            let (place, key) = (lines.number(key.span().start), key.get_ref());
            let error = Error::recipe(format!("line {place}: there is no key `{key}` beside [[machine]]"));
            return Err(error.with_hint("settings of all machines belong into the recipe"));
        };
        for table in tables {
            let place = format!("line {}", lines.number(table.span().start));
            let DeValue::Table(table) = table.get_ref() else {
                return Err(Error::recipe(format!("{place}: this is not a machine")).with_hint(FORMS));
            };
            let pair = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                (key.to_string(), recipe::json_of(value.get_ref()))
            };
            objects.push((place, table.iter().map(pair).collect()));
        }
    }
    Ok(objects)
}

fn csv(text: &str) -> Result<Objects> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| csv_mistake(&error))?.clone();
    if headers.len() == 1
        && let Some(separator) = [';', '\t'].into_iter().find(|separator| headers[0].contains(*separator))
    {
        let message = format!("line 1: the columns are separated by {separator:?}");
        return Err(Error::recipe(message).with_hint("separate them by commas"));
    }
    let mut objects = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| csv_mistake(&error))? {
        let (line, start) = record.position().map_or((0, 0), |at| (at.line(), at.byte() as usize));
        let own = &text[start..reader.position().byte() as usize];
        let quotes = own.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.matches('"')).count();
        let mut object: Map<String, Value> = Map::new();
        for (header, cell) in headers.iter().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            if cell.contains('\n') {
                let message = format!("line {line}: the value of `{header}` continues on the next line");
                return Err(Error::recipe(message).with_hint("close its quote"));
            }
            let cell = match cell {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                cell => cell.into(),
            };
            match object.get_mut(header) {
                Some(Value::Array(list)) => list.push(cell),
                Some(one) => *one = Value::Array(vec![one.take(), cell]),
                None => drop(object.insert(header.into(), cell)),
            }
        }
        if quotes % 2 == 1 {
            let error = Error::recipe(format!("line {line}: a quote is not closed"));
            return Err(error.with_hint("a value with quotes stands in quotes, and each of its own is there twice"));
        }
        objects.push((format!("line {line}"), object));
    }
    Ok(objects)
}

/// The text is in memory and is UTF-8: only the number of values can be wrong.
fn csv_mistake(error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let message = format!("line {line}: values for {len} columns, of {expected_len} that the list has");
            Error::recipe(message).with_hint(
                "a value with commas stands in double quotes; one that is left out leaves its comma; quotes are closed",
            )
        }
        _ => Error::recipe(format!("line {line}: this is not CSV")).with_hint(FORMS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_say_the_same() {
        let csv = "name,ipv4-address,ipv4-dns,secret,setup-command,setup-command\n\
                   web-1,10.0.0.5/24,\"10.0.0.1,10.0.0.2\",admin=file:pw,ver,dir\n";
        let json = r#"{"name": "web-1", "ipv4-address": "10.0.0.5/24", "ipv4-dns": ["10.0.0.1", "10.0.0.2"],
            "secret": "admin=file:pw", "setup-command": ["ver", "dir"]}"#
            .replace('\n', " ");
        let toml = "[[machine]]\nname = 'web-1'\nipv4-address = '10.0.0.5/24'\nipv4-dns = ['10.0.0.1', '10.0.0.2']\n\
                    secret = 'admin=file:pw'\nsetup-command = ['ver', 'dir']\n";
        let base = MachineConfig { locale: Some("de-DE".into()), ..MachineConfig::default() };
        let configs: Vec<MachineConfig> = [csv, &json, toml]
            .map(|text| {
                let rows = rows(text, Path::new("folder")).unwrap();
                let file = Path::new("folder").join("pw");
                assert_eq!(rows[0].secret, [format!("admin=file:{}", file.display())]);
                rows[0].config(&base).unwrap()
            })
            .into();
        assert!(configs.iter().all(|config| *config == configs[0]));
        assert_eq!(configs[0].computer_name.as_deref(), Some("web-1"));
        assert_eq!((configs[0].ipv4_dns.len(), configs[0].setup_command.len()), (2, 2));
        assert_eq!(configs[0].locale.as_deref(), Some("de-DE"), "what a row does not say is the recipe's");
    }

    #[test]
    fn quotes_in_comments_and_doubled_ones_are_no_mistakes() {
        let text = "name,setup-command\n# of 5\" disks\na,\"echo \"\"x\"\"\"\n# 7\"\nb,echo \"y\"\n";
        let rows = rows(text, Path::new("")).unwrap();
        let commands: Vec<_> = rows.iter().map(|row| &*row.own.setup_command[0]).collect();
        assert_eq!(commands, ["echo \"x\"", "echo \"y\""]);
    }

    #[test]
    fn a_list_is_toml_whatever_stands_in_the_line_of_a_table() {
        let rows = rows("# mine\n[[ machine ]] # web\nname = 'a'\n", Path::new("")).unwrap();
        assert_eq!(rows[0].name, "a");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, part) in [
            ("name,nmae\na,b\n", "no column `nmae`"),
            ("name\na\nA\n", "line 3: the name `A` is also that of line 2"),
            ("name,ipv4-mask\na,x\n", "line 2"),
            ("locale\nde-DE\n", "no `name`"),
            ("name\n../a\n", "name of a file"),
            ("name,secret\na,admin=stdin\n", "standard input"),
            ("name,size\na,4G\n", "no column `size`"),
            ("name\n", "no machine"),
            ("name,secret\na,file:pw\n", "line 2: --secret takes the source"),
            ("name,secret\na,admin=pw\n", "line 2: --secret names no source"),
            ("name,secret\na,\"admin=file:pw\n", "line 2: a quote is not closed"),
            ("name,name\na,b\n", "line 2: the `name` is not one text"),
            ("name,seed\na,random\n", "line 2: a list takes no random seeds"),
            ("{\"name\": 1}", "line 1: the `name` is not one text"),
            ("{\"name\": \"a\", \"name\": \"b\"}", "line 1: the key `name` is there twice"),
            ("{\"name\": ", "line 1: begins like JSON, but ends too early"),
            ("{\"name\": \"a\"}\n\n{\"name\": b}", "line 3: begins like JSON, but is not, at character 10"),
            ("{\"name\": \"a\"}\n[1]", "line 2: this is JSON, but not an object"),
            ("[{\"name\": \"a\"}]", "line 1: a list of machines does not begin"),
            ("[[machine]]\nname = ", "line 2: this is not TOML: text without quotes, or a missing value"),
            ("[[machine]]\nname = 'a'\nname = 'b'\n", "line 3: this is not TOML: the key is there twice"),
            ("name = 1\n[[machine]]\n", "line 1: there is no key `name` beside [[machine]]"),
            ("name,locale\na\n", "line 2: values for 1 columns, of 2"),
            ("name,locale\na,\"b\nc,d\n", "line 2: the value of `locale` continues on the next line"),
            ("name;locale\na;de-DE\n", "line 1: the columns are separated by ';'"),
            ("name,jobs\na,0\n", "no column `jobs`"),
            ("name,reboot\na,yes\n", "no column `reboot`"),
        ] {
            let Err(error) = rows(text, Path::new("")) else { panic!("{text}") };
            assert!(error.to_string().contains(part), "{text}: {error}");
            let tells_what_to_try = error.hint().is_some() || error.message().contains(" like ");
            assert!(tells_what_to_try, "{text}: {error}");
            for raw in ["expected", "invalid type", "CSV error", "TOML parse", "column 1"] {
                assert!(!error.to_string().contains(raw), "{text}: {error}");
            }
        }
    }
}
