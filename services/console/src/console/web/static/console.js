// What the pages do beyond plain HTML: moments in the reader's time zone, and questions before
// something is destroyed. Without it everything still works, in UTC and unasked.
(() => {
  "use strict";

  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const text = `${full.format(moment)} (${zone})`;
      element.title = `${element.dataset.utc} UTC\n${text}`;
      const place = element.querySelector(".local");
      if (place) place.textContent = text;
    }
  }

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  // A filter applies when it is changed; the button is for those without scripts.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-instant]");
    if (form && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
  });

  document.addEventListener("htmx:after:swap", () => localise(document));
  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("has-scripts");
    localise(document);
  });
})();
