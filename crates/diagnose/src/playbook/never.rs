//! What people do at three in the morning, and should not.

use super::Never;

pub(super) const RESTART_DATABASE: Never = (
    "Do not restart the database.",
    "It ends every session, empties its caches and lets all clients come back at once to a cold server. It mends no limit, no leak and no network, and it destroys what would show the cause.",
);
pub(super) const CLEAR_CACHES: Never = (
    "Do not clear caches.",
    "Each miss becomes a query: the load grows at the moment when there is no room for it.",
);
pub(super) const RAISE_BLINDLY: Never = (
    "Do not raise max_connections or a pool's size without figures.",
    "Beyond what its cores and disks can work on, a server with more connections finishes less, and max_connections takes a restart. `plimsoll size` and the diagnosis say what is needed.",
);
pub(super) const KILL_ALL: Never = (
    "Do not end all backends.",
    "It ends the work of those who are well, too; they all log in again at once, and a leak is back within minutes. End one that is named, by its pid.",
);
pub(super) const RESTART_POOLER: Never = (
    "Do not restart Plimsoll.",
    "Settings change without it. A restart ends every client's session, and what was learned about leaks with it.",
);
pub(super) const LONGER_TIMEOUT: Never = (
    "Do not only lengthen timeouts.",
    "The same clients wait for longer, in front of the same limit, and hold their own callers up.",
);
pub(super) const RETRY_FASTER: Never = (
    "Do not let clients retry at once and without an end.",
    "Every retry is load. Pauses that grow, with some chance in them, let the server come back.",
);
pub(super) const GUARDS_OFF: Never = (
    "Do not switch the guards off to make a change pass.",
    "`plimsoll apply FILE --now --reason TEXT` passes them for one change, and leaves the others protected.",
);
