// What the scripts of the SDKs share: where Mira is, the SDKs' folder, the tool, and how results are told.
import { createRequire } from "node:module";

export const { MIRA_TEST_URL: url, MIRA_TEST_KEY: key, MIRA_TEST_MODEL: model, MIRA_TEST_PACKAGES: packages } = process.env;

/** Packages come from the cache folder, which is not above this file. */
export const require = createRequire(`${packages}/package.json`);

export const question = "Weather in Zürich and Oslo?";
export const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const weather = ({ city }) => `${city}: ☀ 21 °C`;

/** The one line that the test reads. */
export const tell = (results) => console.log(JSON.stringify(results));
