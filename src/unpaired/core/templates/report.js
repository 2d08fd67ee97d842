"use strict";

// The first click on a column of numbers shows the largest first, on one of words the first letter.
const ORDERS = {
  numbers: { none: "descending", descending: "ascending", ascending: "none" },
  words: { none: "ascending", ascending: "descending", descending: "none" },
};

// Cells without a value stay at the end.
function compareValues(a, b, order) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  return order === "descending" ? -difference : difference;
}

function columnOf(header) {
  const rows = header.closest("thead").rows;
  // Below the names of test sets, the first column's heading spans both rows.
  return header.cellIndex + (rows.length > 1 && header.parentNode === rows[1] ? 1 : 0);
}

function sortBy(header) {
  const table = header.closest("table");
  const rows = [...table.tBodies[0].rows];
  const column = columnOf(header);
  const isWords = rows.some((row) => isNaN(row.cells[column].dataset.sort));
  const order = ORDERS[isWords ? "words" : "numbers"][header.getAttribute("aria-sort")];
  for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", order);
  const value = (row) => (order === "none" ? row.dataset.position : row.cells[column].dataset.sort);
  table.tBodies[0].append(...rows.sort((a, b) => compareValues(value(a), value(b), order)));
}

function setUpTable(table) {
  [...table.tBodies[0].rows].forEach((row, position) => { row.dataset.position = position; });
  for (const header of table.querySelectorAll("th[aria-sort]")) {
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  }
}

// Dragging a picture moves what all of them show; the sliders do the same from the keyboard.
function dragPictures(comparison, set) {
  comparison.addEventListener("pointermove", (event) => {
    const view = event.target.closest(".view");
    const zoom = comparison.querySelector("[data-sets=zoom]").value;
    if (!view || !event.buttons || zoom <= 1) return;
    for (const [name, moved, length] of [
      ["across", event.movementX, view.clientWidth],
      ["down", event.movementY, view.clientHeight],
    ]) {
      const input = comparison.querySelector(`[data-sets=${name}]`);
      input.value = Number(input.value) - (100 * moved) / (length * (zoom - 1));
      set(input);
    }
  });
}

function setUpComparison(comparison) {
  const versions = [...comparison.querySelectorAll(".versions figure")];
  const stage = comparison.querySelector(".stage");
  const set = (input) => {
    comparison.style.setProperty(`--${input.dataset.sets}`, input.value);
    // Pixels of the pictures show as squares once they are much larger than the screen's.
    if (input.dataset.sets === "zoom") comparison.toggleAttribute("data-enlarged", input.value > 2);
  };
  const show = () => {
    const captions = [];
    for (const select of stage.querySelectorAll("select")) {
      const version = versions[select.value];
      const picture = version.querySelector("img").cloneNode();
      picture.draggable = false;
      stage.querySelector(`.${select.dataset.side}`).replaceChildren(picture);
      const scores = version.querySelector("small");
      const title = select.selectedOptions[0].text;
      captions.push(`${select.dataset.side}: ${title}${scores ? ` (${scores.textContent})` : ""}`);
    }
    stage.querySelector("figcaption").textContent = captions.join("; ");
  };
  for (const select of stage.querySelectorAll("select")) select.addEventListener("change", show);
  for (const input of comparison.querySelectorAll("[data-sets]")) {
    input.addEventListener("input", () => set(input));
    set(input);
  }
  for (const picture of comparison.querySelectorAll("img")) picture.draggable = false;
  dragPictures(comparison, set);
  show();
  for (const hidden of comparison.querySelectorAll("[hidden]")) hidden.hidden = false;
}

// A number's link leads into a closed entry.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus();
  }
}

document.querySelectorAll("table.sortable").forEach(setUpTable);
document.querySelectorAll(".comparison").forEach(setUpComparison);
window.addEventListener("hashchange", openTarget);
openTarget();
