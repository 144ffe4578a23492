// Runs before the first paint.
try {
  // Nobody who chose dark sees a white flash.
  const theme = localStorage.getItem("plimsoll.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's choice holds.
}
try {
  // The newest second is asked for while the rest still loads.
  const token = sessionStorage.getItem("plimsoll.token");
  window.plimsollFirst = fetch("/v1/live", { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", credentials: "omit", redirect: "error" });
  window.plimsollFirst.catch(() => {});
} catch {
  // Then it is asked for later.
}
