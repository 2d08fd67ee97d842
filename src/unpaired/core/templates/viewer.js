"use strict";

const ZOOM_STEP = 1.5;
const ZOOM_MAX_PERCENT = 3200;
const MOVED_BY_KEY = 0.1; // of what is seen

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Where a pointer is in a view, both from 0 to 1.
function positionIn(view, event) {
  const box = view.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

class Viewer {
  constructor(place) {
    this.place = place;
    this.views = [...place.querySelectorAll(".view")];
    this.split = place.querySelector("input");
    this.select = place.querySelector("select");
    this.zoom = 1; // 1: the whole picture is seen.
    this.center = [0.5, 0.5]; // of what is seen, in the picture, from 0 to 1
  }

  start() {
    for (const hidden of this.place.querySelectorAll("[hidden]")) hidden.hidden = false;
    this.place.querySelector(".plain").hidden = true;
    this.put(".left", this.place.querySelector(".noisy"));
    this.split.addEventListener("input", () => this.divideAt(this.split.value));
    this.select?.addEventListener("change", () => this.show());
    for (const button of this.place.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.press(button.dataset.zoom));
    }
    for (const view of this.views) this.listenTo(view);
    new ResizeObserver(() => this.draw()).observe(this.views[0]);
    this.divideAt(this.split.value);
    this.show();
    this.draw();
  }

  put(target, figure) {
    this.place.querySelector(target).replaceChildren(figure.querySelector("img").cloneNode());
  }

  show() {
    const chosen = this.select ? Number(this.select.value) : 0;
    const version = this.place.querySelectorAll(".version")[chosen];
    this.put(".right", version);
    this.put(".taken-away .view", this.place.querySelectorAll(".difference")[chosen]);
    this.place.querySelector(".at-right").textContent = version.querySelector("figcaption").textContent;
  }

  divideAt(percent) {
    this.split.value = percent;
    this.place.style.setProperty("--split", this.split.value);
  }

  press(button) {
    if (button === "all") this.zoomTo(1);
    else this.zoomTo(this.zoom * (button === "in" ? ZOOM_STEP : 1 / ZOOM_STEP));
  }

  get percentOfWhole() {
    const picture = this.place.querySelector(".noisy img");
    return (100 * this.views[0].clientWidth) / picture.getAttribute("width");
  }

  // What lies under the point of the view stays there.
  zoomTo(zoom, point = [0.5, 0.5]) {
    const before = this.zoom;
    this.zoom = clamp(zoom, 1, Math.max(1, ZOOM_MAX_PERCENT / this.percentOfWhole));
    this.center = this.center.map((at, axis) => at + (point[axis] - 0.5) * (1 / before - 1 / this.zoom));
    this.draw();
  }

  // By parts of what is seen.
  move(across, down) {
    this.center = [this.center[0] + across / this.zoom, this.center[1] + down / this.zoom];
    this.draw();
  }

  draw() {
    const margin = 0.5 / this.zoom;
    this.center = this.center.map((at) => clamp(at, margin, 1 - margin));
    const percent = Math.round(this.percentOfWhole * this.zoom);
    this.place.style.setProperty("--zoom", this.zoom);
    this.place.style.setProperty("--x", 100 * this.center[0]);
    this.place.style.setProperty("--y", 100 * this.center[1]);
    this.place.toggleAttribute("data-zoomed", this.zoom > 1);
    this.place.toggleAttribute("data-enlarged", percent > 100);
    this.place.querySelector("output").textContent = `${percent} %`;
  }

  listenTo(view) {
    view.addEventListener("keydown", (event) => this.pressKey(event));
    view.addEventListener("wheel", (event) => {
      // Otherwise the page could not be scrolled past the pictures.
      if (!event.ctrlKey && document.activeElement !== view) return;
      event.preventDefault();
      this.zoomTo(this.zoom * (event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP), positionIn(view, event));
    }, { passive: false });
    view.addEventListener("pointerdown", (event) => this.startDrag(view, event));
  }

  pressKey(event) {
    const actions = {
      "+": () => this.press("in"),
      "=": () => this.press("in"),
      "-": () => this.press("out"),
      0: () => this.press("all"),
      ArrowLeft: () => this.move(-MOVED_BY_KEY, 0),
      ArrowRight: () => this.move(MOVED_BY_KEY, 0),
      ArrowUp: () => this.move(0, -MOVED_BY_KEY),
      ArrowDown: () => this.move(0, MOVED_BY_KEY),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  startDrag(view, event) {
    if (event.button !== 0) return;
    const isStage = view.parentNode.classList.contains("stage");
    const divides = isStage && (this.zoom === 1 || event.target.classList.contains("handle"));
    let last = positionIn(view, event);
    const follow = (moved) => {
      const now = positionIn(view, moved);
      if (divides) this.divideAt(100 * now[0]);
      else this.move(last[0] - now[0], last[1] - now[1]);
      last = now;
    };
    const stop = () => {
      view.removeEventListener("pointermove", follow);
      for (const end of ["pointerup", "pointercancel"]) view.removeEventListener(end, stop);
    };
    view.setPointerCapture(event.pointerId);
    view.addEventListener("pointermove", follow);
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, stop);
  }
}

function setUpCommand(box) {
  const button = box.querySelector("button");
  const code = box.querySelector("code");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      box.querySelector("[role=status]").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      box.querySelector("[role=status]").textContent = "Marked: press Ctrl-C to copy";
    }
  });
}

document.querySelectorAll(".place").forEach((place) => new Viewer(place).start());
document.querySelectorAll(".command").forEach(setUpCommand);
document.querySelectorAll(".how-to").forEach((text) => { text.hidden = false; });
