// Tables of the class `sorted`: a button in a heading sorts the rows by the data-value of the cells.
for (const table of document.querySelectorAll("table.sorted")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => Number(row.cells[column].dataset.value || -1);
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? 1 : -1) * (key(b) - key(a)));
      table.tBodies[0].append(...rows);
    });
  });
}
