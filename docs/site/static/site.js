// What is wider than its place scrolls: let the keyboard reach it too.
addEventListener("DOMContentLoaded", () => {
  for (const wide of document.querySelectorAll("article pre, article .table-wrapper")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
