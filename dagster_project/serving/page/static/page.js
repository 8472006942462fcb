"use strict";

const form = document.getElementById("ask");
const box = document.getElementById("q");

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === box) {
    box.blur();
  } else if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    // In a field, a slash is a slash.
    if (!event.target.closest("input:not([type=checkbox]), textarea, select")) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  }
});

// Fields that are empty say nothing, so the address leaves them out.
form.addEventListener("formdata", (event) => {
  const data = event.formData;
  for (const name of new Set(data.keys())) {
    const values = data.getAll(name).filter((value) => value.trim() !== "");
    data.delete(name);
    values.forEach((value) => data.append(name, value));
  }
});

document.addEventListener("change", (event) => {
  if (event.target.type === "checkbox" && event.target.form === form && box.value.trim()) {
    form.requestSubmit();
  }
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // The browser does not let the page write: what is selected can be copied by hand.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

// The warehouse may take seconds, which the hits need not wait for.
for (const place of document.querySelectorAll("[data-value]")) {
  const [number, said] = place.children;
  said.textContent = "Asking the warehouse …";
  fetch(place.dataset.value)
    .then((answer) => answer.json())
    .then((found) => {
      number.textContent = found.value;
      said.textContent = found.said;
    })
    .catch(() => (said.textContent = "The value could not be asked for."));
}
