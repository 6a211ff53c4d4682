//! Settings: read from flags, the environment and a file, checked, and turned into the configuration of the core.

mod alerts;
mod api_keys;
mod command;
mod file;
mod inspect;
mod kubernetes;
mod listen;
mod mode;
mod namespaces;
mod nearest;
mod origin;
mod place;
mod policy_table;
mod proxies;
mod route;
mod settings;
mod sources;
mod table;
mod text_file;
mod token_keys;
mod value;

pub use alerts::{ALERTS, AlertEntry};
pub use api_keys::{API_KEYS, ApiKeyEntry};
pub use command::Invocation;
pub use listen::{LISTEN_ADDRESSES, Listen, ListenAddress, ListenerKind};
pub use mode::{API_KEY_BYTES, TOKEN_SECRET_BYTES};
pub(crate) use origin::is_authority;
pub use origin::{Origin, Origins};
pub use place::Place;
pub use policy_table::PolicyTable;
pub use proxies::Proxies;
pub use route::Route;
pub use table::Settings;
pub use token_keys::{TOKEN_KEYS, TokenKeyEntry};
pub use value::{ApiErrorMode, LogFormat, LogLevel};
