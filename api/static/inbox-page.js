// The page /inbox: finds the user's token and gives it to the component. The token stays in this tab's session storage.
(() => {
  "use strict";
  const KEY = "bellwire.token";
  const inbox = document.querySelector("bellwire-inbox");
  const entry = document.querySelector("#entry");
  const field = document.querySelector("#token");
  const leave = document.querySelector("#leave");
  const refused = document.querySelector("#refused");

  function show(token) {
    inbox.hidden = leave.hidden = !token;
    entry.hidden = Boolean(token);
    if (token) {
      sessionStorage.setItem(KEY, token);
      inbox.setAttribute("token", token);
    } else {
      sessionStorage.removeItem(KEY);
      inbox.removeAttribute("token");
      document.title = "Inbox";
      field.value = "";
      field.focus();
    }
  }

  /** A token in the address is taken out of it at once, so that it stays in no history and no copied link. */
  function given() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) history.replaceState(null, "", location.pathname + location.search);
    return token;
  }

  document.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    refused.hidden = true;
    show(field.value.trim().replace(/^Bearer\s+/i, ""));
  });
  leave.addEventListener("click", () => show(null));
  inbox.addEventListener("bellwire-unauthorized", () => {
    refused.hidden = false;
    show(null);
  });
  inbox.addEventListener("bellwire-unread", ({ detail }) => {
    document.title = detail.unread ? `(${detail.unread}) Inbox` : "Inbox";
  });
  window.addEventListener("hashchange", () => {
    const token = given();
    if (token) show(token);
  });

  show(given() ?? sessionStorage.getItem(KEY));
})();
