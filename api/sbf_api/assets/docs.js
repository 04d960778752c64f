// Shows the API's description in Swagger UI. Addresses come from the page's own: it works behind any prefix.
fetch("openapi.json")
  .then((answer) => answer.json())
  .then((spec) => {
    spec.servers ??= [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
    SwaggerUIBundle({
      spec,
      dom_id: "#page",
      deepLinking: true,
      displayRequestDuration: true,
      persistAuthorization: false, // a token must not stay in the browser
      validatorUrl: null, // else the description would be sent to a validator elsewhere
    });
  });
