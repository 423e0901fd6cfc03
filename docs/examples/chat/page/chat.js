// The page of the chat application. Text of people and models enters it as textContent only, Markdown by richtext.js.

import { copyButton, plain, richText } from "./richtext.js";

const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 45rem)");
const touch = matchMedia("(pointer: coarse)");
const ID = /^[A-Za-z0-9-]{1,64}$/; // what the server takes for the id of a chat
const FIRST = 100; // messages shown at first, and twice as many each time
const MOST = 5000; // messages that the server gives at once
const IMAGES = { types: /^image\/(png|jpeg|gif|webp)$/, most: 4, bytes: 5e6, together: 10e6 }; // as the server takes them

/** Make an element: make("button", {type: "button"}, "Edit"). */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(text, action, kind = "quiet") {
  const made = make("button", { type: "button", class: kind }, text);
  made.addEventListener("click", action);
  return made;
}

/** A name without what would turn the direction of the words around it. */
const straight = (name) => name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
const quoted = (name) => `“${straight(name)}”`;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// --- The server ---

/** What went wrong: a problem document of the server, or that there is no server. */
class Problem extends Error {
  constructor(status, { code = "", detail = "", current_version } = {}, retryAfter = 0) {
    super(typeof detail === "string" && detail ? detail : `The server answered with the error ${status}.`);
    Object.assign(this, { status, code, retryAfter, gone: status === 404 || current_version === 0 });
  }

  get conflict() {
    return this.gone || this.status === 409 || this.status === 412;
  }
}

const INTERRUPTED = { code: "interrupted", detail: "The connection broke before the answer was complete." };
const UNREACHABLE = { code: "unreachable", detail: "The server cannot be reached." };

async function call(method, path, { body, version, signal } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  let response;
  try {
    response = await fetch(`/api/chats${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, UNREACHABLE);
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => ({}));
  throw new Problem(response.status, document, Number(response.headers.get("Retry-After")) || 0);
}

/** The document in a response; where it is cut off, there is no server any more. */
async function content(response) {
  try {
    return await response.json();
  } catch {
    throw new Problem(0, UNREACHABLE);
  }
}

/** The server-sent events of a response, as [name, data]. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Problem(0, INTERRUPTED);
    });
    if (done) return;
    text += value;
    const complete = text.split("\n\n");
    text = complete.pop();
    for (const lines of complete) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(lines) ?? [];
      if (name) yield [name, JSON.parse(data)];
    }
  }
}

// --- One chat: it keeps its place on the page, also while another one is shown ---

class Chat {
  constructor(id) {
    const known = id === ""; // a new chat: there is nothing to be loaded
    Object.assign(this, { id: id || newId(), title: known ? "New chat" : "Loading…", known });
    Object.assign(this, { version: 0, messages: [], limit: FIRST, turn: null, loads: 0 });
    this.list = make("ol", { class: "messages" });
  }

  get path() {
    return `/${this.id}`;
  }

  async load(limit = this.limit) {
    const mine = ++this.loads;
    const response = await call("GET", `${this.path}?limit=${limit}`);
    const { title, version, messages } = await content(response);
    for (const message of messages) message.images = (message.images ?? []).map((id) => this.image(message.index, id));
    if (mine !== this.loads) return; // loaded once more, or asked, meanwhile: this is too old
    Object.assign(this, { title, version, messages, limit, known: true });
    this.draw();
  }

  /** An image that the server has. */
  image(index, id) {
    return { url: `/api/chats${this.path}/images/${index}/${encodeURIComponent(id)}` };
  }

  /** It could not be loaded. No matter, if another chat is on the screen by now. */
  unloaded(error, again) {
    if (error.gone || error.status === 422) gone(this);
    else if (this === current) explain(error, again);
  }

  draw() {
    const focused = document.activeElement;
    const editor = this.list.querySelector(".editor");
    this.list.replaceChildren(...this.messages.map((message) => this.item(message)));
    const edited = editor && this.itemOf(Number(editor.dataset.index));
    edited?.replaceChildren(editor); // what is typed there stays
    if (edited?.contains(focused)) focused.focus();
    if (this === current) show();
  }

  /** The element of the message with that index. */
  itemOf(index) {
    return this.list.children[this.messages.findIndex((message) => message.index === index)];
  }

  /** Whether this is the text of the message with that index. */
  holds(text, index) {
    return this.messages.some((message) => message.index === index && message.text === text);
  }

  item(message) {
    const names = { human: "You said", ai: "The answer", system: "Instructions", tool: "A tool said" };
    const name = make("h2", { class: "unseen" }, names[message.type] ?? "Message");
    const images = (message.images ?? []).map(({ url }, i) => {
      const shown = make("img", { src: url, alt: `Image ${i + 1}` });
      shown.addEventListener("load", () => this === current && message === this.messages.at(-2) && scrollDown());
      return make("a", { href: url, target: "_blank", rel: "noopener" }, shown);
    });
    const item = make("li", { class: `message ${message.type}` }, name);
    if (images.length) item.append(make("div", { class: "images" }, ...images));
    const text = make("div", { class: "text" }, message.text);
    if (message.blocks) richText(text, message.blocks);
    item.append(text);
    const actions = make("div", { class: "actions" });
    const last = message === this.messages.at(-1);
    if (message.stopped) actions.append(make("span", {}, "Stopped before its end."));
    if (message.type === "human" && last && !this.turn) actions.append(make("span", {}, "Not answered."));
    if (message.type === "ai" && message.text) actions.append(copyButton("Copy", () => message.text));
    if (message.type === "human") actions.append(button("Edit", () => this.edit(item, message)));
    if (last && !this.turn && ["ai", "human"].includes(message.type)) {
      actions.append(button(message.type === "ai" ? "Regenerate" : "Answer", () => this.again()));
    }
    if (message.index !== undefined) actions.append(button("Branch from here", () => this.branch(message)));
    if (this.turn) for (const made of actions.querySelectorAll("button")) made.disabled = true;
    item.append(actions);
    return item;
  }

  edit(item, message) {
    const id = `edit-${message.index}`;
    const field = make("textarea", { id, rows: "2", maxlength: "20000" });
    field.value = message.text;
    const cancel = () => {
      form.remove();
      this.draw();
      this.itemOf(message.index)?.querySelector("button")?.focus();
    };
    const form = make(
      "form",
      { class: "editor", "data-index": message.index },
      make("label", { for: id }, "Edit your question. What came after it is dropped."),
      field,
      make("div", { class: "buttons" }, button("Cancel", cancel, ""), make("button", { class: "primary" }, "Ask this")),
    );
    const images = message.images ?? []; // they stay
    const submit = () =>
      (field.value.trim() || images.length) && this.ask(field.value.trim(), message.index, images);
    form.addEventListener("submit", (event) => (event.preventDefault(), submit()));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (sends(event)) event.preventDefault(), submit();
    });
    item.replaceChildren(form);
    field.focus();
  }

  /** Answer the last question once more. */
  again() {
    const question = this.messages.findLast((message) => message.type === "human");
    if (question) this.ask(question.text, question.index, question.images);
  }

  /** Go on in a chat of its own that begins with what was said up to this message. */
  async branch(message, id = newId()) {
    if (this.branching) return;
    this.branching = true;
    hideNotice();
    try {
      const body = { id, keep: message.index + 1 };
      const response = await call("POST", `${this.path}/branches`, { version: this.version, body });
      own.set(id, { id, ...(await content(response)) });
      speak("This is a new chat, which goes on from there.");
      if (this === current) go(id), $("title").focus();
      refresh();
    } catch (error) {
      if (error.conflict) this.conflict(error, "No branch was made.");
      else explain(error, () => this.branch(message, id)); // which may have been made: only its answer was lost
    } finally {
      this.branching = false;
    }
  }

  /** Ask; with `keep`, in place of the message with that index and all after it. */
  async ask(text, keep = null, images = []) {
    if (this.turn) return;
    this.turn = new AbortController();
    this.loads++;
    hideNotice();
    const before = this.messages;
    const kept = keep === null ? before : before.filter((message) => message.index < keep);
    const answer = { type: "ai", text: "", blocks: [] };
    this.messages = [...kept, { type: "human", text, images }, answer];
    this.draw();
    const item = this.list.lastElementChild;
    item.classList.add("pending");
    $("question").focus();
    scrollDown();
    let stored = false;
    try {
      const response = await call("POST", `${this.path}/turns`, {
        version: this.version,
        body: { text, keep, images: await Promise.all(images.map(encoded)) },
        signal: this.turn.signal,
      });
      stored = true;
      await this.receive(response, answer, item.querySelector(".text"));
    } catch (error) {
      const index = keep ?? (before.at(-1)?.index ?? -1) + 1;
      await this.failed(error, { stored, text, before, keep, index, images });
    } finally {
      this.turn = null;
      item.classList.remove("pending");
      this.draw();
      refresh();
    }
  }

  async receive(response, answer, place) {
    const voice = new Voice();
    for await (const [name, data] of events(response)) {
      if (name === "question") {
        Object.assign(this, { title: data.title, version: data.version });
        this.messages.at(-2).index = data.index;
        this.messages.at(-2).images = (data.images ?? []).map((id) => this.image(data.index, id));
        remember(this);
        if (this === current) show();
      } else if (name === "token") {
        const follow = atBottom();
        answer.text += data;
        voice.say(data);
        if (this === current && follow) scrollDown();
      } else if (name === "blocks") {
        const follow = atBottom();
        answer.blocks.splice(data.keep, Infinity, ...data.blocks);
        richText(place, data.blocks, data.keep);
        if (this === current && follow) scrollDown();
      } else if (name === "done") {
        this.version = data.version;
        answer.index = data.index;
        voice.end();
        if (!answer.text) this.messages.pop();
        return;
      } else if (name === "problem") {
        throw new Problem(data.status ?? 500, data);
      }
    }
    throw new Problem(0, INTERRUPTED);
  }

  /** The question was refused, or its answer did not come to its end. */
  async failed(error, { stored, text, before, keep, index, images }) {
    const stopped = error.name === "AbortError";
    const found = (stored || stopped) && (await this.settle(text, index));
    if (stored || (found && this.holds(text, index))) {
      remember(this);
      if (stopped) speak("Stopped.");
      else if (error.conflict) this.conflict(error, "The answer was not kept.");
      else tell(error.message, [["Reload the chat", () => this.reload()]]);
      return;
    }
    if (!found) this.messages = before;
    const typed = !this.holds(text, index); // else the question was there before: its answer was to be made anew
    if (typed) giveBack(this, text, images);
    if (stopped) return speak("Stopped. Your question was not sent.");
    if (error.conflict) return this.conflict(error, typed ? "Your question is still here." : "Nothing was changed.");
    if (keep !== null) await this.load().catch(() => {}); // it may have been cut back already
    explain(error, () => {
      takeBack(this, text, images);
      this.ask(text, keep !== null && this.messages.at(keep - this.messages[0]?.index) ? keep : null, images);
    });
  }

  conflict(error, more) {
    const which = this === current ? "This chat" : quoted(this.title);
    const action = this === current ? ["Reload the chat", () => this.reload()] : ["Open it", () => go(this.id)];
    tell(`${which} was ${error.gone ? "deleted" : "changed"} in another tab or on another device. ${more}`, [action]);
  }

  /** After a stream that was cut: show what the server has kept; it needs a moment to notice. False: nothing. */
  async settle(text, index) {
    let found = false;
    for (let attempt = 0; attempt < 8; attempt++) {
      await sleep(150);
      found = await this.load().then(
        () => true,
        () => found,
      );
      if (found && this.holds(text, index) && this.messages.at(-1).type === "ai") break;
    }
    return found;
  }

  async reload() {
    hideNotice();
    try {
      await this.load();
      if (this === current) scrollDown(), $("question").focus();
    } catch (error) {
      this.unloaded(error, () => this.reload());
    }
    refresh();
  }

  /** Show earlier messages too; what is on the screen stays where it is. */
  async earlier() {
    const box = $("scroller");
    const below = box.scrollHeight - box.scrollTop;
    try {
      await this.load(Math.min(2 * this.limit, MOST));
      if (this !== current) return;
      box.scrollTop = box.scrollHeight - below;
      if ($("earlier").hidden) box.focus({ preventScroll: true }); // the button that had the focus is gone
    } catch (error) {
      this.unloaded(error, () => this.earlier());
    }
  }
}

// --- The chat that is shown ---

let current = new Chat("");
const running = () => current.turn !== null;

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function show() {
  const fresh = current.known && current.version === 0 && current.messages.length === 0;
  $("title").textContent = current.title;
  document.title = `${straight(current.title)} – Chat`;
  if ($("log").firstChild !== current.list) $("log").replaceChildren(current.list);
  $("hello").hidden = !fresh;
  $("chat-actions").hidden = current.version === 0;
  const above = current.messages[0]?.index > 0;
  $("earlier").hidden = !above || current.limit >= MOST;
  $("no-earlier").hidden = !above || current.limit < MOST;
  $("earlier").disabled = running();
  $("send").hidden = running();
  $("send").disabled = !current.known; // its version is, and that goes along with a question
  $("stop").hidden = !running();
  for (const name of ["rename", "delete"]) $(name).disabled = running();
  drawList();
}

/** Show the chat that the address names, or a new one. */
async function open() {
  const id = location.hash.slice(1);
  hideNotice();
  if (current.list.querySelector(".editor")) editing.set(current.id, current);
  const chat = busy.get(id) ?? editing.get(id) ?? new Chat(id);
  editing.delete(id);
  current = chat;
  show();
  giveBack(chat, unsent.get(id) ?? "", unsentImages.get(id));
  if (!id || chat.turn) return;
  if (!ID.test(id)) return gone(chat);
  try {
    await chat.load();
    if (chat === current) scrollDown();
  } catch (error) {
    chat.unloaded(error, open);
  }
}

function forget(chat) {
  deleted.add(chat.id);
  listed = listed.filter((other) => other.id !== chat.id);
  own.delete(chat.id);
  busy.delete(chat.id);
  drawList();
}

/** It is not there (any more). Whoever went on to another chat meanwhile stays there. */
function gone(chat) {
  forget(chat);
  if (chat !== current) return;
  go("");
  tell("There is no such chat (any more).");
}

const editing = new Map(); // chats with an open editor that are not on the screen
const unsent = new Map(); // texts that were not stored, by the id of a chat that is there, but not on the screen
const unsentImages = new Map(); // the images of these, as long as the page is open

/** Put a question that was not stored back where it was typed, beside what is there by now. */
function giveBack(chat, text, images = []) {
  if (chat !== current && chat.version) {
    unsentImages.set(chat.id, images);
    return unsent.set(chat.id, text);
  }
  unsent.delete(chat.id);
  unsentImages.delete(chat.id);
  attached.unshift(...images);
  drawPictures();
  const box = $("question");
  if (text) box.value = box.value.trim() ? `${text}\n\n${box.value}` : text;
}

/** Take it away again: it is being sent. */
function takeBack(chat, text, images) {
  unsent.delete(chat.id);
  unsentImages.delete(chat.id);
  attached = attached.filter((image) => !images.includes(image));
  drawPictures();
  const box = $("question");
  if (box.value.startsWith(text)) box.value = box.value.slice(text.length).trimStart();
}

// --- Images ---

let attached = []; // to be sent with the question: {url, data}; those that the server has got have no data here

/** Add images to the question, as many as it may have, and say why others are none of it. */
async function attach(files) {
  hideNotice();
  for (const file of files) {
    const size = attached.reduce((sum, image) => sum + (image.size ?? 0), file.size);
    if (!IMAGES.types.test(file.type)) tell(`${quoted(file.name)} is no image that can be sent: PNG, JPEG, GIF or WebP.`);
    else if (file.size > IMAGES.bytes) tell(`${quoted(file.name)} has ${megabytes(file.size)} MB. An image may have 5 MB at most.`);
    else if (attached.length >= IMAGES.most) tell(`A question may have ${IMAGES.most} images at most.`);
    else if (size > IMAGES.together) tell("The images have more than 10 MB together. Send some with the next question.");
    else attached.push({ url: URL.createObjectURL(file), size: file.size, data: base64(file) });
  }
  drawPictures();
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Problem(0, { detail: "An image could not be read." })));
    reader.readAsDataURL(blob);
  });
}

/** The data of an image, also of one that only the server has. */
async function encoded(image) {
  if (!image.data) {
    const response = await fetch(image.url).catch(() => null);
    if (!response?.ok) throw new Problem(response?.status ?? 0, { detail: "An image of the question could not be loaded." });
    image.data = base64(await response.blob());
  }
  return image.data;
}

function drawPictures() {
  const follow = atBottom();
  $("pictures").replaceChildren(
    ...attached.map((image, i) => {
      const remove = button("Remove", () => {
        attached = attached.filter((other) => other !== image);
        URL.revokeObjectURL(image.url);
        drawPictures();
        $("question").focus();
      });
      remove.setAttribute("aria-label", `Remove image ${i + 1}`);
      return make("li", {}, make("img", { src: image.url, alt: `Image ${i + 1}` }), remove);
    }),
  );
  $("pictures").hidden = !attached.length;
  if (follow) scrollDown();
}

/** What outlives a reload of the page, in this tab; undefined where the browser keeps nothing. */
function kept() {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}

/** Keep what was typed and not sent. */
function keepTyped() {
  kept()?.setItem("typed", JSON.stringify({ box: $("question").value, unsent: [...unsent] }));
}

function restoreTyped() {
  const { box = "", unsent: texts = [] } = JSON.parse(kept()?.getItem("typed") ?? "{}");
  $("question").value = box;
  for (const [id, text] of texts) unsent.set(id, text);
}

/** Change the address; asks for nothing to be loaded where that chat is on the screen. */
function go(id) {
  history.pushState(null, "", id ? `#${id}` : location.pathname);
  if (id !== current.id || !current.known) open();
}

function atBottom() {
  const box = $("scroller");
  return box.scrollHeight - box.scrollTop - box.clientHeight < 80;
}

function scrollDown() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
}

// --- The list ---

let listed = []; // as the server told
let pages = 1; // how many of its pages are shown
let next = null; // where the list goes on
let refreshes = 0;
const own = new Map(); // chats changed here, where the server's list may lag behind
const deleted = new Set(); // ids, for the same reason
const busy = new Map(); // chats with an answer on its way

function remember(chat) {
  own.set(chat.id, chat);
  busy.set(chat.id, chat);
  if (chat === current && location.hash.slice(1) !== chat.id) history.replaceState(null, "", `#${chat.id}`);
}

/** Load the list anew, as far as it is shown. */
async function refresh() {
  for (const [id, chat] of busy) if (!chat.turn) busy.delete(id);
  const mine = ++refreshes;
  const found = [];
  let cursor = null;
  try {
    for (let page = 0; page < pages && (cursor || !page); page++) {
      const response = await call("GET", cursor ? `?cursor=${encodeURIComponent(cursor)}` : "");
      const { chats, next: rest } = await content(response);
      found.push(...chats);
      cursor = rest;
    }
    if (mine !== refreshes) return; // begun once more meanwhile: this is too old
    next = cursor;
    listed = found.filter((chat) => !deleted.has(chat.id));
    for (const { id, version } of listed) if (version >= own.get(id)?.version) own.delete(id);
    show();
  } catch (error) {
    if ($("notice").hidden) explain(error, refresh);
  }
}

function drawList() {
  const known = new Set(listed.map((chat) => chat.id));
  const mine = [...own.values()].filter((chat) => !known.has(chat.id)).reverse();
  const entries = [...mine, ...listed].map((chat) => own.get(chat.id) ?? chat);
  const focused = document.activeElement?.closest("#chats a")?.hash;
  $("chats").replaceChildren(
    ...entries.map(({ id, title }) => {
      const link = make("a", { href: `#${id}` }, title);
      if (id === current.id) link.setAttribute("aria-current", "page");
      return make("li", {}, link);
    }),
  );
  if (focused) [...$("chats").querySelectorAll("a")].find((link) => link.hash === focused)?.focus();
  $("no-chats").hidden = entries.length > 0;
  $("more").hidden = !next;
}

// --- The drawer of narrow screens ---

function drawer(opened) {
  $("drawer").classList.toggle("open", opened);
  $("open-drawer").setAttribute("aria-expanded", opened);
  $("shade").hidden = !opened;
  $("main").inert = opened;
}

function closeDrawer(focus) {
  if (!$("drawer").classList.contains("open")) return;
  drawer(false);
  focus?.focus();
}

// --- What is said aloud ---

function speak(text) {
  const live = $("live");
  while (live.childElementCount > 20) live.firstChild.remove();
  live.append(make("p", {}, plain(text)));
}

/** Says an answer in whole sentences: word by word, screen readers stumble. */
class Voice {
  text = "";

  say(more) {
    this.text += more;
    const end = Math.max(...[". ", "! ", "? ", "\n"].map((mark) => this.text.lastIndexOf(mark)));
    if (end < 0) return;
    speak(this.text.slice(0, end + 1));
    this.text = this.text.slice(end + 1);
  }

  end() {
    if (this.text.trim()) speak(this.text);
    this.text = "";
  }
}

// --- What went wrong ---

function tell(text, actions = []) {
  $("notice-text").textContent = text;
  const made = actions.map(([name, action]) => button(name, action, ""));
  $("notice-actions").replaceChildren(...made, button("Dismiss", () => (hideNotice(), $("question").focus())));
  $("notice").hidden = false;
  made[0]?.focus();
  return made[0];
}

function hideNotice() {
  $("notice").hidden = true;
}

/** Tell of an error, and offer to repeat what failed. */
function explain(error, again) {
  if (!(error instanceof Problem)) throw error;
  if (error.status === 401) return tell(error.message, [["Load the page again", () => location.reload()]]);
  if (error.status && error.status < 500) return tell(error.message);
  const seconds = error.retryAfter;
  const text = seconds ? "The server is busy at the moment. Nothing is lost." : error.message;
  const made = tell(text, [["Try again", () => (hideNotice(), again())]]);
  if (seconds) {
    made.disabled = true;
    setTimeout(() => ((made.disabled = false), made.isConnected && made.focus()), seconds * 1000);
  }
}

// --- What people do ---

/** Enter, but not in the middle of an input method's word, and not on a phone. */
const sends = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch.matches;

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("question").value.trim();
  if (!(text || attached.length) || running() || !current.known) return;
  const images = attached;
  $("question").value = "";
  attached = [];
  drawPictures();
  current.ask(text, null, images);
});
$("question").addEventListener("keydown", (event) => {
  if (!sends(event)) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("attach").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", async () => {
  await attach([...$("files").files]);
  $("files").value = ""; // so that the same one can be chosen again
  if ($("notice").hidden) $("question").focus();
});
$("question").addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (!files.length) return;
  event.preventDefault();
  attach(files);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  $("main").addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    $("main").classList.toggle("dropping", name === "dragover");
    if (name === "drop") attach([...event.dataTransfer.files]);
  });
}
$("stop").addEventListener("click", (event) => {
  if (event.detail > 1) return; // the second click of a double one, whose first was on Send, in the same place
  current.turn?.abort();
  $("question").focus();
});
$("earlier").addEventListener("click", () => current.earlier());
$("new").addEventListener("click", () => {
  closeDrawer();
  go("");
  $("question").focus();
});
$("more").addEventListener("click", async () => {
  const shown = $("chats").childElementCount;
  pages++;
  await refresh();
  if ($("more").hidden) $("chats").children[shown]?.firstChild.focus(); // the button that had the focus is gone
});
$("chats").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  closeDrawer();
  go(link.hash.slice(1));
  $("title").focus();
});
$("open-drawer").addEventListener("click", () => {
  drawer(true);
  $("close-drawer").focus();
});
$("close-drawer").addEventListener("click", () => closeDrawer($("open-drawer")));
$("shade").addEventListener("click", () => closeDrawer($("open-drawer")));
document.addEventListener("keydown", (event) => event.key === "Escape" && closeDrawer($("open-drawer")));
narrow.addEventListener("change", () => drawer(false));
addEventListener("popstate", open);
addEventListener("pagehide", keepTyped);
document.addEventListener("visibilitychange", keepTyped); // a hidden page may end without a word
document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), $("question").focus()));

for (const close of document.querySelectorAll("[data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}
const titles = new Map(); // titles that were not stored, by the id of their chat

$("rename").addEventListener("click", () => {
  $("new-title").value = titles.get(current.id) ?? current.title;
  titles.delete(current.id);
  $("rename-dialog").showModal();
  $("new-title").select();
});
$("delete").addEventListener("click", () => {
  $("delete-text").textContent = `${quoted(current.title)} will be gone for good.`;
  $("delete-dialog").showModal();
});

/** Do what a dialog asks for, with the version that is on the screen. */
async function change(chat, action, refused = "Nothing was changed.") {
  hideNotice();
  try {
    await action(chat);
    refresh();
  } catch (error) {
    if (error.conflict) chat.conflict(error, refused);
    else explain(error, () => change(chat, action, refused));
  }
}

$("rename-dialog").addEventListener("submit", (event) => {
  event.preventDefault();
  const title = $("new-title").value.trim();
  if (!title) return;
  $("rename-dialog").close();
  titles.set(current.id, title);
  const rename = async (chat) => {
    const response = await call("PATCH", chat.path, { version: chat.version, body: { title } });
    Object.assign(chat, { title, version: (await content(response)).version });
    titles.delete(chat.id);
    own.set(chat.id, chat);
    show();
  };
  change(current, rename, "Rename has kept your title.");
});
$("delete-dialog").addEventListener("submit", (event) => {
  event.preventDefault();
  $("delete-dialog").close();
  change(current, async (chat) => {
    await call("DELETE", chat.path, { version: chat.version });
    forget(chat);
    speak("The chat is deleted.");
    if (chat !== current) return; // the user went on to another one meanwhile
    go("");
    $("question").focus();
  });
});

restoreTyped();
open();
refresh();
if (!touch.matches) $("question").focus(); // a phone's keyboard would cover the chat
