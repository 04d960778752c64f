// Shows the API's description in Redoc. The address is relative: it works behind any prefix.
const font = "system-ui, sans-serif";
Redoc.init(
  "openapi.json",
  { theme: { typography: { fontFamily: font, headings: { fontFamily: font } } } },
  document.getElementById("page"),
);
