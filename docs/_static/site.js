// The LaTeX of every formula: a button at each displayed one, and copying a selection copies $...$ instead of the glyphs.
(function () {
  "use strict";
  const source = new WeakMap();

  function prepare() {
    for (const item of MathJax.startup.document.math) {
      const root = item.typesetRoot;
      if (!root) continue;
      source.set(root, { tex: item.math.trim(), display: item.display });
      root.dataset.tex = item.math.trim();
      root.dataset.display = item.display ? "1" : "";
      if (item.display) addButton(root);
      else root.title = "LaTeX: " + item.math.trim();
    }
  }

  function addButton(root) {
    const box = root.closest("div.math");
    if (!box || box.parentElement.classList.contains("formula")) return;
    const around = document.createElement("div"), button = document.createElement("button");
    around.className = "formula";
    button.type = "button";
    button.textContent = "LaTeX";
    button.title = "Copy the LaTeX source";
    button.addEventListener("click", async () => {
      await write(root.dataset.tex);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "LaTeX"; }, 1200);
    });
    box.replaceWith(around);
    around.append(box, button);
  }

  async function write(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");      // pages opened as files
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  document.addEventListener("copy", event => {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed) return;
    const part = selection.getRangeAt(0).cloneContents();
    const formulas = part.querySelectorAll("mjx-container[data-tex]");
    if (!formulas.length) return;
    for (const f of formulas) f.replaceWith(f.dataset.display ? "\n$$\n" + f.dataset.tex + "\n$$\n" : "$" + f.dataset.tex + "$");
    for (const b of part.querySelectorAll(".formula > button")) b.remove();
    const holder = document.createElement("div");
    holder.style.cssText = "position:absolute;left:-9999px;white-space:pre-wrap";
    holder.append(part);
    document.body.append(holder);
    event.clipboardData.setData("text/plain", holder.innerText);
    holder.remove();
    event.preventDefault();
  });

  window.addEventListener("load", () => {
    if (window.MathJax && MathJax.startup && MathJax.startup.promise) MathJax.startup.promise.then(prepare).then(() => document.documentElement.classList.add("formulas-ready"));
  });
})();
