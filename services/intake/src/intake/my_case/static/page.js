"use strict";
// Forms are sent from here, so that the browser's history has one entry and "back" or "send again" shows nothing.
// Without this file the page works as well, when the code is typed.
(function () {
  var IDLE_MS = 240000, HIDDEN_MS = 60000;
  var root = document.documentElement, gone = false, busy = false, stale = false, pressed = null, timer = 0, stirred = Date.now(), hidden = 0;

  function empty() {
    document.body.textContent = "";
    document.title = "";
  }

  function leave() {
    var link = document.getElementById("leave");
    if (gone || !link) return;
    gone = true;
    var to = link.href;
    empty();
    location.replace(to);
  }

  function stir() {
    clearTimeout(timer);
    stirred = Date.now();
    timer = setTimeout(leave, IDLE_MS);
  }

  function takeCode() {
    var code = location.hash.slice(1);
    if (!location.hash) return;
    history.replaceState(null, "", location.pathname);
    var field = document.getElementById("code"), pin = document.getElementById("pin");
    if (field && /^[A-Za-z0-9-]{1,40}$/.test(code)) {
      field.value = code;
      pin.focus();
    }
  }

  function show(html) {
    if (gone) return;
    stale = false;
    var page = new DOMParser().parseFromString(html, "text/html");
    root.lang = page.documentElement.lang;
    root.dir = page.documentElement.dir;
    document.title = page.title;
    document.body.replaceWith(document.adoptNode(page.body));
    scrollTo(0, 0);
    var main = document.getElementById("main");
    if (main) main.focus({ preventScroll: true });
  }

  function ask(form, body) {
    return fetch(form.getAttribute("action"), {
      method: body ? "POST" : "GET", body: body, credentials: "omit", cache: "no-store", redirect: "error",
      referrerPolicy: "no-referrer"
    }).then(function (answer) {
      if (answer.status >= 500) throw answer.status;
      return answer.text();
    });
  }

  // A form signs in once. Where its answer was lost it may have done so: the next try goes with a new one.
  function renew(form) {
    var old = form.querySelector("input[name=form]");
    if (!stale || !old) return Promise.resolve();
    return ask(form).then(function (html) {
      old.value = new DOMParser().parseFromString(html, "text/html").querySelector("input[name=form]").value;
      stale = false;
    });
  }

  function trouble() {
    stale = true;
    var place = document.getElementById("trouble");
    if (place && !gone) place.textContent = document.body.dataset.trouble;
  }

  document.addEventListener("click", function (event) {
    pressed = event.target.closest && event.target.closest("button");
    if (event.target.closest && event.target.closest("#leave")) {
      event.preventDefault();
      leave();
    }
  });

  document.addEventListener("submit", function (event) {
    var form = event.target, button = event.submitter || pressed;
    if (!window.fetch || !window.URLSearchParams || !document.body.replaceWith) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    var typed = document.getElementById("code");
    var data = new URLSearchParams(new FormData(form));
    if (typed && form.className === "switch") data.set("code", typed.value);
    if (button && button.name) data.set(button.name, button.value);
    document.body.setAttribute("aria-busy", "true");
    renew(form).then(function () {
      var fresh = form.querySelector("input[name=form]");
      if (fresh) data.set("form", fresh.value);
      return ask(form, data);
    }).then(show).catch(trouble).finally(function () {
      busy = false;
      document.body.removeAttribute("aria-busy");
    });
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") leave();
  });
  ["pointerdown", "keydown", "scroll", "touchstart"].forEach(function (kind) {
    addEventListener(kind, stir, { passive: true });
  });
  document.addEventListener("visibilitychange", function () {
    // A phone stops the timers of what is hidden: the clock is asked as well.
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(leave, HIDDEN_MS);
    else if (Date.now() - stirred > IDLE_MS) leave();
  });
  addEventListener("pagehide", empty);
  addEventListener("pageshow", function (event) {
    if (event.persisted) location.replace(location.pathname);
  });
  addEventListener("hashchange", takeCode);
  takeCode();
  stir();
})();
