"use strict";

// Tables: a click on a heading sorts by that column, a second click the other way.
const key = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = Number.parseFloat(text);
  return Number.isNaN(number) ? [1, 0, text] : [0, number, text];
};
const compare = (a, b) => a[0] - b[0] || a[1] - b[1] || a[2].localeCompare(b[2]);

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.ariaSort === "descending" || (!head.ariaSort && head.classList.contains("name"));
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [one, two] = [key(a, column), key(b, column)];
        return one[0] !== two[0] ? one[0] - two[0] : up ? compare(one, two) : compare(two, one);
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// Examples: by task, method and outcome; a task without any left is folded away.
const form = document.getElementById("filter");
if (form) {
  form.hidden = false;
  form.addEventListener("change", () => {
    const asked = [...new FormData(form)].filter(([, value]) => value);
    let count = 0;
    for (const task of document.querySelectorAll("#examples details")) {
      let left = 0;
      for (const row of task.querySelectorAll("tbody tr")) {
        row.hidden = asked.some(([name, value]) => row.dataset[name] !== value);
        left += row.hidden ? 0 : 1;
      }
      task.hidden = left === 0;
      task.open = left > 0 && asked.length > 0 || task.open;
      count += left;
    }
    form.querySelector("output").textContent = `${count} shown`;
  });
}

// Paper: everything unfolded, and folded again after.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});
