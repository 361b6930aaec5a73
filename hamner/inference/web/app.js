// The page: one conversation at a time with the model of this server, over its /v1 API, in OpenAI's format.
//
// Conversations are kept in this browser's localStorage, one key each, and nowhere else; where the server was started with
// --feedback, what is said of a reply goes there with the messages before it. Text of people and of the model
// is set as textContent, never as HTML. Everything that is shown follows from `talk`, the conversation that is open.
"use strict";

const KEY = "hamner.conversation.";

addEventListener("DOMContentLoaded", () => {
  const copyOf = (id) => $(id).content.firstElementChild.cloneNode(true);
  let talk = newTalk(); // {id, title, isNamed, updated, messages: [{role, content, thumb?, note?, noted?}]}
  let writing = null; // the AbortController of the reply that is being written
  let model = { id: "", promise: "" };
  let telling = Promise.resolve(); // feedback on its way, in order

  // --- Conversations: kept, listed, named, deleted ---

  function newTalk() {
    return { id: `${Date.now()}-${Math.random().toString(36).slice(2, 8)}`, title: "New conversation", messages: [] };
  }

  function talks() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(KEY));
    return keys.map((key) => read(key)).filter(Boolean).sort((a, b) => b.updated - a.updated);
  }

  function read(key) {
    try {
      const value = JSON.parse(localStorage.getItem(key));
      return Array.isArray(value?.messages) ? value : null;
    } catch {
      return null;
    }
  }

  function keep() {
    if (!talk.messages.length) return;
    talk.updated = Date.now();
    if (!talk.isNamed) talk.title = talk.messages[0].content.trim().replace(/\s+/g, " ").slice(0, 60);
    store(talk);
    showList();
  }

  function store(conversation) {
    try {
      localStorage.setItem(KEY + conversation.id, JSON.stringify(conversation));
    } catch {
      toast("This browser has no room left: export conversations, and delete some.");
    }
  }

  function showList() {
    $("list").replaceChildren(...talks().map(entry));
    $("title").textContent = talk.title;
    $("export").disabled = !finished(talk).length;
    $("export-all").disabled = !talks().length;
  }

  function entry(conversation) {
    const item = copyOf("entry");
    const [open, rename, remove] = item.querySelectorAll("button");
    const isCurrent = conversation.id === talk.id;
    item.dataset.id = conversation.id;
    item.classList.toggle("current", isCurrent);
    open.textContent = conversation.title;
    if (isCurrent) open.setAttribute("aria-current", "true");
    rename.setAttribute("aria-label", `Rename “${conversation.title}”`);
    remove.setAttribute("aria-label", `Delete “${conversation.title}”`);
    open.onclick = () => show(conversation);
    rename.onclick = () => editTitle(item, conversation);
    remove.onclick = () => forget(conversation);
    return item;
  }

  function editTitle(item, conversation) {
    const input = document.createElement("input");
    input.value = conversation.title;
    input.maxLength = 80;
    input.setAttribute("aria-label", "Name of the conversation");
    const finish = (isKept) => {
      input.onblur = null;
      const title = input.value.trim();
      if (isKept && title) {
        const one = conversation.id === talk.id ? talk : conversation; // which may have been written to since
        Object.assign(one, { title, isNamed: true });
        store(one);
      }
      showList();
      $("list").querySelector(`[data-id="${conversation.id}"] .rename`)?.focus();
    };
    input.onblur = () => finish(true);
    input.onkeydown = (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault(); // or Enter would press the button that gets the focus
      event.stopPropagation();
      finish(event.key === "Enter");
    };
    item.replaceChildren(input);
    input.select();
  }

  function forget(conversation) {
    if (conversation.id === talk.id) stop();
    localStorage.removeItem(KEY + conversation.id);
    if (conversation.id === talk.id) show(newTalk());
    else showList();
    toast(`“${conversation.title}” is deleted.`, "Undo", () => {
      store(conversation);
      show(conversation);
    });
    $("new").focus();
  }

  function show(conversation) {
    stop();
    talk = conversation;
    openSide(false);
    showTalk();
    if (matchMedia("(hover: hover)").matches) $("message").focus(); // a touch screen would bring up its keyboard
  }

  // --- Messages ---

  function showTalk() {
    $("messages").replaceChildren(...talk.messages.map(messageItem));
    $("hello").hidden = talk.messages.length > 0;
    showList();
    $("scroll").scrollTop = $("scroll").scrollHeight;
  }

  function messageItem(message, place) {
    const item = copyOf(`of-${message.role === "user" ? "user" : "assistant"}`);
    item.querySelector(".text").textContent = message.content;
    if (message.role === "user") {
      item.querySelector(".edit").onclick = () => editMessage(item, place);
      return item;
    }
    for (const thumb of ["up", "down"]) {
      const button = item.querySelector(`.${thumb}`);
      button.setAttribute("aria-pressed", message.thumb === thumb);
      button.onclick = () => {
        message.thumb = message.thumb === thumb ? undefined : thumb;
        tell(place, message.thumb && (thumb === "up" ? "good" : "bad"), "", true);
        for (const each of ["up", "down"]) item.querySelector(`.${each}`).setAttribute("aria-pressed", message.thumb === each);
        keep();
      };
    }
    item.querySelector(".fix").onclick = () => editMessage(item, place);
    item.querySelector(".again").onclick = () => {
      if (message.content.trim()) tell(place, "again");
      talk.messages.length = place;
      reply();
    };
    showNote(item, message);
    return item;
  }

  function showNote(item, message) {
    const note = item.querySelector(".note");
    note.textContent = message.note ?? "";
    note.hidden = !message.note;
    item.classList.toggle("failed", Boolean(message.isFailed));
  }

  function editMessage(item, place) {
    const message = talk.messages[place];
    const isReply = message.role === "assistant";
    const form = copyOf(isReply ? "corrector" : "editor");
    const area = form.querySelector("textarea");
    const close = () => {
      item.replaceWith(messageItem(message, place));
      $("messages").children[place].querySelector(isReply ? ".fix" : ".edit").focus();
    };
    area.value = message.content;
    form.querySelector(".cancel").onclick = close;
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!area.value.trim()) return area.focus();
      if (isReply) return correct(message, place, area.value.trim()), close();
      talk.messages.length = place;
      say(area.value);
    };
    area.onkeydown = (event) => {
      if (isSend(event)) form.requestSubmit();
      if (event.key === "Escape") close();
      if (isSend(event) || event.key === "Escape") event.preventDefault(), event.stopPropagation();
    };
    stop();
    item.replaceChildren(form);
    area.focus();
  }

  function correct(message, place, better) {
    if (better === message.content.trim()) return;
    tell(place, "fix", better);
    Object.assign(message, { content: better, note: "Corrected by you.", isFailed: false, thumb: undefined, noted: undefined });
    keep();
    $("status").textContent = "The reply is corrected.";
  }

  // --- Feedback, where the server keeps it ---

  // Say something of a reply: `kind`, or nothing. isMark: it takes the place of an earlier mark, which is forgotten.
  function tell(place, kind, better = "", isMark = false) {
    const conversation = talk;
    const message = talk.messages[place];
    if (!model.feedback) return;
    const body = JSON.stringify({ kind: kind ?? "", messages: asked(talk.messages.slice(0, place)), reply: message.content.trim(), better });
    telling = telling.then(async () => {
      try {
        if (isMark && message.noted) await ask(`v1/feedback/${message.noted}`, { method: "DELETE" });
        if (isMark) message.noted = undefined;
        if (kind) {
          const { id } = await (await ask("v1/feedback", { method: "POST", body })).json();
          if (isMark) message.noted = id;
        }
        if (isMark && localStorage.getItem(KEY + conversation.id)) store(conversation);
      } catch (error) {
        toast(`This was not kept: ${error.message}`);
      }
    });
  }

  // What the model reads of some messages.
  function asked(messages) {
    return messages.filter((m) => !m.isFailed && m.content.trim()).map(({ role, content }) => ({ role, content }));
  }

  function say(text) {
    stop();
    talk.messages.push({ role: "user", content: text.trim() });
    reply();
  }

  // --- Replies ---

  async function reply() {
    stop();
    const conversation = talk;
    const message = { role: "assistant", content: "" };
    const context = asked(conversation.messages);
    conversation.messages.push(message);
    keep();
    showTalk();
    const item = $("messages").lastElementChild;
    const control = (writing = new AbortController());
    item.classList.add("writing");
    setWriting(true);
    $("status").textContent = "Hamner is writing.";
    try {
      await receive(context, control.signal, (event) => take(event, message, item));
      if (!message.content.trim()) message.note = "Hamner had nothing to say to that.";
    } catch (error) {
      if (control.signal.aborted) message.note ??= message.content ? "Stopped." : "Stopped before the first word.";
      else Object.assign(message, { note: error.message, isFailed: !message.content });
    }
    const shown = conversation === talk && $("messages").children[conversation.messages.indexOf(message)];
    if (shown) showNote(shown, message);
    item.classList.remove("writing");
    if (writing === control) {
      writing = null;
      setWriting(false);
    }
    if (conversation === talk) keep();
    else if (localStorage.getItem(KEY + conversation.id)) store(conversation);
    $("status").textContent = message.content ? `Hamner: ${message.content}` : message.note;
  }

  function take(event, message, item) {
    const choice = event.choices[0];
    const scroll = $("scroll");
    const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    message.content = (message.content + (choice?.delta.content ?? "")).trimStart();
    item.querySelector(".text").textContent = message.content;
    if (choice?.finish_reason === "length") message.note = "I had to break off here: a reply can be only so long.";
    if (event.dropped_messages) message.note = "I can no longer see the beginning of our conversation: it has become longer than I can read at once.";
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  }

  // Ask for a reply and hand on each event of it. Throws an Error whose message is for people.
  async function receive(messages, signal, hand) {
    const body = { model: model.id || undefined, messages: messages.slice(-200), stream: true, truncation: "auto", temperature: Number($("temperature").value) };
    const response = await ask("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = "", part; !(part = await reader.read()).done; ) {
      const events = (text + part.value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        if (event === "data: [DONE]") return;
        const value = JSON.parse(event.slice("data: ".length));
        if (value.error) throw new Error(value.error.message);
        hand(value);
      }
    }
    throw new Error("The connection broke off in the middle.");
  }

  function stop() {
    writing?.abort();
  }

  function setWriting(isWriting) {
    $("stop").hidden = !isWriting;
    $("send").hidden = isWriting;
  }

  // --- Export: a list of {messages: [...]}, which `data/sft/NAME/` takes as it is ---

  function finished(conversation) {
    const messages = conversation.messages.filter((message) => !message.isFailed);
    while (messages.length && !(messages.at(-1).role === "assistant" && messages.at(-1).content.trim())) messages.pop();
    return messages.map(({ role, content, thumb }) => (thumb ? { role, content, thumb } : { role, content }));
  }

  function save(conversations, name) {
    const records = conversations.map((one) => ({ title: one.title, model: model.id, messages: finished(one) })).filter((record) => record.messages.length);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(records, null, 1)], { type: "application/json" }));
    link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, "_").slice(0, 40)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // --- The rest: looks, keys, what the model is ---

  function toast(text, label = "", action = () => {}) {
    const [words, button] = $("toast").children;
    words.textContent = text;
    button.textContent = label;
    button.onclick = () => (($("toast").hidden = true), action());
    $("toast").hidden = false;
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => ($("toast").hidden = true), 8000);
  }

  function openSide(isOpen) {
    $("side").classList.toggle("open", isOpen);
    $("shade").hidden = !isOpen;
    $("main").inert = isOpen;
    $("menu").setAttribute("aria-expanded", isOpen);
  }

  function showTheme() {
    const isDark = (document.documentElement.dataset.theme || (night.matches ? "dark" : "light")) === "dark";
    $("theme").setAttribute("aria-pressed", isDark);
    $("theme").querySelector("use").setAttribute("href", isDark ? "#i-sun" : "#i-moon");
    return isDark;
  }

  function showTemperature() {
    $("degrees").textContent = Number($("temperature").value).toFixed(1);
  }

  function grow() { // where `field-sizing` is not known
    if (CSS.supports("field-sizing", "content")) return;
    $("message").style.height = "auto";
    $("message").style.height = `${$("message").scrollHeight}px`;
  }

  const night = matchMedia("(prefers-color-scheme: dark)");
  night.onchange = showTheme;
  $("theme").onclick = () => {
    const next = showTheme() ? "light" : "dark";
    localStorage.setItem("hamner.theme", next);
    document.documentElement.dataset.theme = next;
    showTheme();
  };
  $("temperature").value = stored("temperature", "0.7");
  $("temperature").oninput = () => {
    localStorage.setItem("hamner.temperature", $("temperature").value);
    showTemperature();
  };
  $("menu").onclick = () => (openSide(true), $("new").focus());
  $("shade").onclick = () => openSide(false);
  $("new").onclick = () => show(newTalk());
  $("stop").onclick = () => (stop(), $("message").focus());
  $("export").onclick = () => save([talk], talk.title);
  $("export-all").onclick = () => save(talks(), "hamner conversations");
  $("message").oninput = grow;
  $("message").onkeydown = (event) => {
    if (isSend(event)) event.preventDefault(), $("composer").requestSubmit();
  };
  $("composer").onsubmit = (event) => {
    event.preventDefault();
    if (!$("message").value.trim() || writing) return $("message").focus();
    say($("message").value);
    $("message").value = "";
    grow();
    $("message").focus();
  };
  for (const button of $("openers").querySelectorAll("button")) button.onclick = () => say(button.textContent);
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || $("door").open) return;
    if ($("side").classList.contains("open")) openSide(false), $("menu").focus();
    else if (!document.querySelector("#settings:popover-open")) stop();
  });
  addEventListener("storage", (event) => event.key?.startsWith(KEY) && showList()); // another tab has written

  const hour = new Date().getHours();
  $("greeting").textContent = hour < 5 ? "Still awake?" : hour < 12 ? "Good morning." : hour < 18 ? "Good afternoon." : "Good evening.";
  showTheme();
  showTemperature();
  showTalk();
  ask("v1/models")
    .then((response) => response.json())
    .then((list) => {
      model = list.data[0];
      $("promise").textContent = model.promise;
      if (model.arena) Object.assign($("arena"), { href: "arena", hidden: false });
      $("none").classList.toggle("kept", Boolean(model.feedback));
      if (model.feedback) $("none").textContent = `What we talk about is kept here, in this browser. What you mark, correct or have written again is written to ${model.feedback} on the machine I run on.`;
    })
    .catch((error) => ($("promise").textContent = error.message));
});
