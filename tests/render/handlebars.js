// Says what Handlebars itself makes of the cases of handlebars.json: `node handlebars.js FOLDER < cases`, where FOLDER
// is the one with node_modules.
const { createRequire } = require("node:module");
const handlebars = createRequire(process.argv[2] + "/package.json")("handlebars");
const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const judged = cases.map(({ template, data, partials }) => {
  const own = handlebars.create();
  for (const [name, source] of Object.entries(partials ?? {})) own.registerPartial(name, source);
  return own.compile(template)(data);
});
process.stdout.write(JSON.stringify(judged));
