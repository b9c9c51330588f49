// Starts Swagger UI, and mends what it leaves out for those who do not see the page.
// 启动 Swagger UI，并补上无障碍所需的标注。
"use strict";

// What Swagger UI draws, and the attributes that it lacks there.
const MENDED = [
  [".information-container", { role: "region", "aria-label": "About this API" }],
  [".scheme-container", { role: "region", "aria-label": "Server and key" }],
  ["#servers", { "aria-label": "Server" }],
  [".info .title", { role: "heading", "aria-level": "1" }],
  [".opblock-tag, .webhooks h2, .models > h4", { role: "heading", "aria-level": "2" }],
  [".opblock-body :is(h4, h5)", { role: "heading", "aria-level": "3" }],
  [".modal-ux h3", { role: "heading", "aria-level": "2" }],
  [".modal-ux :is(h4, h5, h6)", { role: "heading", "aria-level": "3" }],
  [".close-modal", { "aria-label": "Close" }],
  ['[aria-label="Apply credentials"]', { "aria-label": "Authorize: apply credentials" }],
  ['[aria-label="Remove authorization"]', { "aria-label": "Logout: remove authorization" }],
  ["textarea.body-param__text", { "aria-label": "Request body" }],
  ["pre.microlight, .highlight-code pre, .curl-command pre", { tabindex: "0" }],
];

function mend() {
  for (const [where, attributes] of MENDED) {
    for (const element of document.querySelectorAll(where)) {
      for (const [name, value] of Object.entries(attributes)) {
        if (element.getAttribute(name) !== value) element.setAttribute(name, value);
      }
    }
  }
  // A field is called by the name in its row; an operation's answers by its path.
  for (const row of document.querySelectorAll("[data-property-name], [data-param-name]")) {
    const name = row.dataset.propertyName || row.dataset.paramName;
    for (const field of row.querySelectorAll("input, select, textarea")) {
      if (!field.labels?.length && !field.ariaLabel) field.ariaLabel = name;
    }
  }
  for (const table of document.querySelectorAll("table.responses-table")) {
    table.ariaLabel ||= `Responses of ${table.id}`;
  }
}

// A link within a button can be reached by no key; the button opens the operation all the same.
const WithoutLinks = ({ React }) => ({
  components: { DeepLink: ({ text }) => React.createElement("span", null, text) },
});

// A form begins empty: with a made-up value in every field, its kinds' fields would all be sent.
const EmptyForms = {
  afterLoad() {
    const sample = this.fn.getSampleSchema;
    // Swagger UI asks for a form's field without a media type.
    this.fn.getSampleSchema = (schema, type, ...rest) =>
      type === false ? "" : sample(schema, type, ...rest);
  },
};

new MutationObserver(mend).observe(document.getElementById("page"), {
  childList: true,
  subtree: true,
});
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  plugins: [WithoutLinks, () => EmptyForms],
  // Nothing is loaded from elsewhere: no validator's badge.
  validatorUrl: null,
});
