//! The known name that a mistyped one was meant to be.

/// Names that other programs have for some of the settings.
const FAMILIAR: &[(&str, &str)] = &[
    ("port", "listen"),
    ("host", "listen"),
    ("address", "listen"),
    ("addr", "listen"),
    ("bind", "listen"),
    ("secret", "token_secret"),
    ("jwt_secret", "token_secret"),
    ("token", "token_secret"),
    ("jwks", "token_jwks"),
    ("jwks_url", "token_jwks"),
    ("jwks_uri", "token_jwks"),
    ("token_jwks_public_endpoint", "token_jwks"),
    ("key", "api_key"),
    ("log", "log_level"),
    ("origins", "allowed_origins"),
    ("cors_origins", "allowed_origins"),
];

/// The known name that was most probably meant. O(known names).
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str> + Clone) -> &'static str {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let familiar = FAMILIAR.iter().find(|(familiar, _)| *familiar == name).map(|(_, setting)| *setting);
    if let Some(setting) = familiar.filter(|setting| known.clone().any(|known| known == *setting)) {
        return setting;
    }
    // A name that is one letter away comes first, then one that was written without its last words, then the nearest.
    let is_cut = |known: &str| known.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('_'));
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    known.min_by_key(|known| (distance(known) > 1 && !is_cut(known), distance(known))).expect("the table is not empty")
}

#[cfg(test)]
mod tests {
    use super::super::table::Setting;
    use super::*;

    #[test]
    fn familiar_names_lead_to_settings_that_there_are() {
        for (familiar, setting) in FAMILIAR {
            assert!(Setting::all().any(|key| key.name == *setting), "{setting}");
            assert!(!Setting::all().any(|key| key.name == *familiar), "{familiar}");
        }
    }
}
