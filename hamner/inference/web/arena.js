// The arena: two friends reply to one message, side by side and without names; a vote for one of them, or for neither.
//
// Enter sends, an arrow key votes. Text of people and of models is set as textContent, never as HTML.
"use strict";

const CHOICES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };
const WORDS = { left: "left", right: "right", tie: "equal" };
const SUGGESTIONS = [
  "Hello! How are you today?",
  "It is raining here.",
  "Who are you?",
  "I had a bad day.",
  "My name is Robin. What did you dream of?",
  "I cannot sleep.",
  "Tell me a story about an owl.",
  "I am proud of something I made.",
  "What do you like about the sea?",
  "You are not very clever, are you?",
];

addEventListener("DOMContentLoaded", () => {
  let round = null; // that waits for a vote
  let isBusy = false;
  let next = 0; // of the suggestions

  function suggest() {
    $("message").placeholder = SUGGESTIONS[next++ % SUGGESTIONS.length];
  }

  function say(text) {
    $("status").textContent = text;
  }

  function setOpen(isOpen) {
    for (const button of $("choices").querySelectorAll("button")) button.disabled = !isOpen;
  }

  function count(votes) {
    $("votes").textContent = votes === 1 ? "1 vote so far." : `${votes} votes so far.`;
  }

  async function post(path, body) {
    return (await ask(path, { method: "POST", body: JSON.stringify(body) })).json();
  }

  async function play(message) {
    isBusy = true;
    round = null;
    setOpen(false);
    $("left").textContent = $("right").textContent = "";
    $("asked").textContent = `“${message}”`;
    $("replies").classList.add("writing");
    say("Both are writing.");
    try {
      const { round: name, left, right } = await post("v1/arena/rounds", { message });
      round = name;
      $("left").textContent = left || "(nothing)";
      $("right").textContent = right || "(nothing)";
      setOpen(true);
      $("scroll").focus();
      say(`Left: ${left || "nothing"}. Right: ${right || "nothing"}. Left arrow, right arrow, or down arrow for equal.`);
    } catch (error) {
      $("asked").textContent = error.message;
      say(error.message);
    }
    $("replies").classList.remove("writing");
    isBusy = false;
  }

  async function vote(choice) {
    if (!round || isBusy) return;
    isBusy = true;
    setOpen(false);
    try {
      const { votes } = await post("v1/arena/votes", { round, choice });
      round = null;
      count(votes);
      $("asked").textContent = `Your vote: ${WORDS[choice]}. Write something else.`;
      say(`Your vote: ${WORDS[choice]}.`);
      $("message").focus();
    } catch (error) {
      setOpen(true);
      $("asked").textContent = error.message;
      say(error.message);
    }
    isBusy = false;
  }

  $("composer").onsubmit = (event) => {
    event.preventDefault();
    if (isBusy) return;
    play($("message").value.trim() || $("message").placeholder);
    $("message").value = "";
    suggest();
  };
  $("message").onkeydown = (event) => {
    if (isSend(event)) event.preventDefault(), $("composer").requestSubmit();
  };
  for (const button of $("choices").querySelectorAll("button")) button.onclick = () => vote(button.dataset.choice);
  addEventListener("keydown", (event) => {
    const isTyping = document.activeElement === $("message") && $("message").value;
    if (!round || !CHOICES[event.key] || isTyping || $("door").open || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    vote(CHOICES[event.key]);
  });

  suggest();
  ask("v1/arena")
    .then((response) => response.json())
    .then(({ votes }) => (count(votes), $("message").focus()))
    .catch((error) => ($("asked").textContent = error.message));
});
