//! Whether the names computed here are those of the image.

use crate::registry::Hive;
use crate::windows::package::identity::AssemblyIdentity;

/// Checks the names of all components and deployments in the COMPONENTS hive against those that their identities
/// have here.
///
/// # Errors
/// Says the first that differs, or that there are none to compare with.
pub(super) fn check(components: &Hive) -> Result<(), String> {
    let key_form: fn(&AssemblyIdentity) -> String = AssemblyIdentity::key_form;
    let mut count = 0;
    for (path, value, name_of) in [
        (r"DerivedData\Components", "identity", key_form),
        (r"CanonicalData\Deployments", "appid", AssemblyIdentity::deployment_key),
    ] {
        let Some(parent) = components.find(path) else { return Err(format!("COMPONENTS has no key `{path}`")) };
        for key in components.subkeys(parent) {
            let name = components.name(key).to_string();
            let identity = components.value(key, value);
            let identity = identity.as_ref().and_then(|value| std::str::from_utf8(&value.data).ok());
            let Some(identity) = identity.and_then(AssemblyIdentity::from_identity_text) else {
                return Err(format!(r"`{path}\{name}` in COMPONENTS does not say what it is (`{value}`)"));
            };
            let computed = name_of(&identity);
            if !computed.eq_ignore_ascii_case(&name) {
                return Err(format!(r"`{path}\{name}` in COMPONENTS would be called `{computed}` here"));
            }
            count += 1;
        }
    }
    match count {
        0 => Err("COMPONENTS lists nothing to compare names with".into()),
        _ => Ok(()),
    }
}
