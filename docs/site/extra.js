// The theme puts wide tables into boxes that scroll; so that keys reach them, each gets a place in the order of Tab.
const reach = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "table");
  }
};
new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
reach();
