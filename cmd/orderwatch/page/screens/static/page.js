// The stream of a page closes while nobody looks at the page, and opens anew when somebody does: browsers have few
// connections for one server. The server begins each stream with the whole of what is shown, and sends something every 15
// seconds. While there is no stream, or one on which nothing comes, the page says so: what it shows may be old.
(function () {
  "use strict";
  function Stream(url) {
    this.url = url;
    this.heard = [];
    this.ended = false;
    this.readyState = EventSource.CONNECTING;
    var stream = this;
    this.hears = function () {
      clearTimeout(stream.silence);
      stream.silence = setTimeout(function () { // a machine or a network that is gone closes no connection
        sayNotConnected();
        stream.pause();
        stream.looked();
      }, 45000);
    };
    this.looked = function () {
      if (document.visibilityState === "hidden") stream.pause();
      else if (!stream.source) stream.open();
    };
    document.addEventListener("visibilitychange", this.looked);
    window.addEventListener("pagehide", function () { stream.pause(); });
    window.addEventListener("pageshow", this.looked);
    this.looked();
  }
  Stream.prototype.open = function () {
    if (this.ended) return;
    var stream = this, source = new EventSource(this.url);
    this.source = source;
    this.wait();
    this.hears();
    source.addEventListener("same", this.hears);
    source.onopen = function (event) {
      stream.readyState = source.readyState;
      stream.waited();
      if (stream.onopen) stream.onopen(event);
    };
    source.onerror = function () {
      // The browser asks again by itself, unless the answer was no stream: then the page does, later.
      stream.readyState = EventSource.CONNECTING;
      stream.wait();
      if (source.readyState !== EventSource.CLOSED || stream.source !== source) return;
      stream.pause();
      setTimeout(stream.looked, 5000);
    };
    this.heard.forEach(function (each) { stream.listen(each[0], each[1]); });
  };
  Stream.prototype.listen = function (name, listener) {
    this.source.addEventListener(name, listener);
    this.source.addEventListener(name, this.hears);
  };
  Stream.prototype.wait = function () {
    if (!this.waiting) this.waiting = setTimeout(sayNotConnected, 10000);
  };
  Stream.prototype.waited = function () {
    clearTimeout(this.waiting);
    this.waiting = 0;
  };
  Stream.prototype.pause = function () {
    clearTimeout(this.silence);
    if (this.source) this.source.close();
    this.source = null;
  };
  Stream.prototype.close = function () {
    this.ended = true;
    this.readyState = EventSource.CLOSED;
    this.waited();
    document.removeEventListener("visibilitychange", this.looked);
    window.removeEventListener("pageshow", this.looked);
    this.pause();
  };
  Stream.prototype.addEventListener = function (name, listener) {
    this.heard.push([name, listener]);
    if (this.source) this.listen(name, listener);
  };
  Stream.prototype.removeEventListener = function (name, listener) {
    this.heard = this.heard.filter(function (each) { return each[0] !== name || each[1] !== listener; });
    if (this.source) this.source.removeEventListener(name, listener);
  };
  // The next stream replaces the line that says of when the page is, and with it these words.
  function sayNotConnected() {
    var line = document.querySelector("#as-of > span");
    if (!line || line.querySelector(".bad")) return;
    var said = document.createElement("strong");
    said.className = "bad";
    said.textContent = "not connected";
    line.append(", ", said);
  }
  htmx.createEventSource = function (url) { return new Stream(url); };
  // What a viewer opened stays open, and what a viewer typed stays, when a fragment is sent again.
  document.addEventListener("DOMContentLoaded", function () {
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = function (name, node) {
      return !(name === "open" && node.nodeName === "DETAILS" || name === "value" && node.nodeName === "INPUT");
    };
  });
})();
