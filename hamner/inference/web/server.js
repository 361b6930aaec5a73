// What both pages share: the choice of colours, and requests to this server, with the token where it asks for one.
"use strict";

const $ = (id) => document.getElementById(id);
const stored = (name, otherwise) => localStorage.getItem(`hamner.${name}`) ?? otherwise;
const theme = stored("theme", "");
if (theme) document.documentElement.dataset.theme = theme; // before anything is drawn

function isSend(event) {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing;
}

// The server's answer. Throws an Error whose message is for people.
async function ask(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (stored("token", "")) headers.Authorization = `Bearer ${stored("token")}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Error("I cannot be reached. Is the server still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    await askToken();
    return ask(path, options);
  }
  const error = (await response.json().catch(() => null))?.error;
  if (response.status === 429) throw new Error(`Many are talking to me right now. Ask again in ${response.headers.get("Retry-After")} seconds.`);
  throw new Error(error?.message ?? `The server answered ${response.status}.`);
}

function askToken() {
  $("door").showModal();
  return new Promise((resolve) => {
    $("door").onclose = () => {
      localStorage.setItem("hamner.token", $("token").value.trim());
      resolve();
    };
  });
}

addEventListener("DOMContentLoaded", () => $("door").addEventListener("cancel", (event) => event.preventDefault()));
