/* Runs before Gradio's own scripts: they ask where the page is, and it says why it is empty. */
"use strict";
// Whatever the server or a reverse proxy believes: the page lies at its own address.
window.gradio_config.root = location.pathname.replace(/\/+$/, "") || "/";
addEventListener("error", (event) => {
  if (event.target.type !== "module" || document.getElementById("cx-empty")) return;
  if (!location.pathname.endsWith("/")) return location.replace(`${location.pathname}/${location.search}`);
  const told = document.createElement("p");
  told.id = "cx-empty";
  told.setAttribute("role", "alert");
  told.style = "margin: 3rem auto; max-width: 40rem; padding: 0 1rem; line-height: 1.5";
  told.textContent = "This page is empty because its scripts were refused or did not arrive. If a reverse proxy " +
    `serves it, start the demo with --public-host ${location.host}, as docs/demo.md says.`;
  document.body.prepend(told);
}, true);
