// Answers as the server has read their Markdown: a tree of [tag, attributes, children], of which elements are made here.
// No HTML is parsed, and what is not listed becomes nothing but its text, whatever the server sends.

const TAGS = new Set(
  "p h3 ul ol li blockquote hr table thead tbody tr th td strong em s br code span a pre".split(" "),
);
const ALIGN = new Set(["left", "right", "center"]);

/** Let `place` show these blocks after the first `keep` that it shows already. */
export function richText(place, blocks, keep = 0) {
  place.classList.add("rich");
  if (!keep) place.replaceChildren();
  while (place.childElementCount > keep) place.lastElementChild.remove();
  place.append(...blocks.map(element));
}

function element(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, attributes, children] = node;
  const made = document.createElement(TAGS.has(tag) ? tag : "span");
  made.append(...children.map(element));
  if (tag === "a") return link(made, attributes.href);
  if (tag === "pre") return code(made, attributes.lang);
  if (tag === "table") return scrolled(made, "A table");
  if (tag === "ol") numbered(made, attributes.start);
  if (ALIGN.has(attributes.align)) made.style.textAlign = attributes.align;
  return made;
}

/** A list that counts from `start`, with room for its longest number. */
function numbered(made, start) {
  if (/^\d{1,9}$/.test(start)) made.start = start;
  const digits = String(made.start + made.childElementCount - 1).length;
  if (digits > 2) made.style.paddingLeft = `${digits + 1}ch`;
}

function link(made, address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    made.append(` (${address})`); // the server took it for one; what leads nowhere is shown at least
    return made;
  }
  if (!["https:", "http:", "mailto:"].includes(url.protocol)) return made;
  made.href = url.href;
  made.title = url.href; // where it leads, whatever it says
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  return made;
}

function code(made, language) {
  const text = made.textContent;
  const name = document.createElement("span");
  name.textContent = language || "code";
  const bar = document.createElement("div");
  bar.className = "code-bar";
  bar.append(name, copyButton("Copy code", () => text));
  const box = document.createElement("div");
  box.className = "code";
  box.append(bar, scrolled(made, language ? `Code in ${language}` : "Code"));
  return box;
}

/** What may be wider than the screen: it can be scrolled, by the keyboard too. */
function scrolled(made, name) {
  const box = document.createElement("div");
  box.className = "scrolled";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", name);
  box.append(made);
  return box;
}

/** A button that copies what `text` returns, and says for a moment that it has. */
export function copyButton(name, text) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.textContent = name;
  made.addEventListener("click", async () => {
    made.textContent = (await copy(text())) ? "Copied" : "Not copied";
    setTimeout(() => (made.textContent = name), 2000);
  });
  return made;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOldWay(text); // without HTTPS, on another machine than this one, browsers offer no clipboard
  }
}

function copyOldWay(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    focused?.focus();
  }
}

/** Markdown as it is read aloud: without its marks. No pattern looks at a character again for each one before it. */
export function plain(text) {
  return text
    .replace(/^[ \t]*(?:```.*|#{1,6} |> ?)/gm, "")
    .replace(/^[|: \t-]+$/gm, "")
    .replace(/!?\[([^[\]\n]*)\]\([^()\n]*\)/g, "$1")
    .replace(/[*`|]|__/g, " ")
    .replace(/[ \t]{2,}/g, " ")
    .trim();
}
