(() => {
  "use strict";
  const search = document.getElementById("search");
  const input = search.querySelector("input");
  const found = search.querySelector("output");
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const read = (element, selector) => element?.querySelector(selector).textContent ?? "";
  const groups = Array.from(document.querySelectorAll(".group"), (element) => ({ element, isOpen: element.open }));
  const sites = Array.from(document.querySelectorAll(".site"), (element) => {
    const group = element.closest(".group");
    return { element, group, text: plain(read(element, "h3, h4") + " " + read(group, "summary h3")) };
  });
  const show = (element, isShown) => {
    if (element.hidden === isShown) element.hidden = !isShown;
  };
  let wasSearching = false;
  let frame = 0;
  const filter = () => {
    frame = 0;
    const words = plain(input.value).split(/\s+/u).filter(Boolean);
    const isSearching = words.length > 0;
    const open = new Set();
    let count = 0;
    for (const { element, group, text } of sites) {
      const isFound = words.every((word) => text.includes(word));
      show(element, isFound);
      if (isFound) {
        count += 1;
        open.add(group);
      }
    }
    for (const group of groups) {
      if (isSearching && !wasSearching) group.isOpen = group.element.open;
      show(group.element, !isSearching || open.has(group.element));
      if (isSearching || wasSearching) group.element.open = isSearching || group.isOpen;
    }
    wasSearching = isSearching;
    found.textContent = isSearching
      ? found.dataset.text.replace("{count}", count).replace("{all}", sites.length)
      : "";
  };
  const later = () => {
    frame ||= requestAnimationFrame(filter);
  };
  input.addEventListener("input", later);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      later();
    }
  });
  search.hidden = false;
  if (input.value) later();
})();
