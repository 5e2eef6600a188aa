/** The API reference: the gateway's sections with the reader's own address, and every route. */
import { Anchor, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { addressOf } from "../../api/client";
import { useRoute } from "../../api/queries";
import type { RouteShown } from "../../api/schema";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Loaded } from "../../components/States";
import styles from "./docs/docs.module.css";
import { SECTIONS } from "./docs/sections";

export default function Docs() {
  const docs = useRoute("GET /portal/v1/docs");
  return (
    <>
      <PageHeader title="API reference" description={<>With your own address, and a model that can answer now. For programs: <Anchor href={addressOf("openapi.json")}>openapi.json</Anchor>.</>} />
      <Loaded query={docs}>
        {(found) => {
          const paths = new Set(found.routes.map(({ path }) => path));
          const sections = SECTIONS.filter(({ route }) => route === undefined || paths.has(route));
          return (
            <div className={styles.layout}>
              <nav className={styles.contents} aria-label="Sections of the reference">
                {[...sections, { id: "routes", title: "All routes" }].map(({ id, title }) => (
                  <a key={id} href={`#${id}`} onClick={(event) => { event.preventDefault(); go(id); }}>{title}</a>
                ))}
              </nav>
              <Stack gap="lg" style={{ minWidth: 0 }}>
                {sections.map(({ id, title, body }) => (
                  <div key={id} id={`docs-${id}`} tabIndex={-1} className={styles.section}>
                    <Section title={title}>{body(found)}</Section>
                  </div>
                ))}
                <div id="docs-routes" tabIndex={-1} className={styles.section}><Routes routes={found.routes} /></div>
              </Stack>
            </div>
          );
        }}
      </Loaded>
    </>
  );
}

/** The hash is the portal's own, so sections are gone to by hand; the focus goes with the reader. */
function go(id: string): void {
  const section = document.getElementById(`docs-${id}`);
  section?.scrollIntoView({ block: "start" });
  section?.focus({ preventScroll: true });
}

function Routes({ routes }: { routes: readonly RouteShown[] }) {
  const [words, setWords] = useState("");
  const wanted = words.trim().toLowerCase();
  const shown = routes.filter((route) => `${route.method} ${route.path} ${route.summary} ${route.group}`.toLowerCase().includes(wanted));
  return (
    <Section title="All routes" padded={false}
      action={<TextInput type="search" aria-label="Search routes" placeholder="Search routes" leftSection={<Icon name="search" size={16} />} value={words} onChange={(event) => setWords(event.currentTarget.value)} />}>
      <div className="data-table-scroll">
        <table className="data-table" role="table" aria-label="All routes">
          <thead role="rowgroup">
            <tr role="row">
              {["Route", "What", "Who", "Billed by"].map((title) => <th key={title} role="columnheader" scope="col">{title}</th>)}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((route) => (
              <tr key={`${route.method} ${route.path}`} role="row">
                <td role="cell" data-label="Route"><code className={styles.route}>{route.method} {route.path}</code></td>
                <td role="cell" data-label="What">{route.summary}</td>
                <td role="cell" data-label="Who">{route.policy}</td>
                <td role="cell" data-label="Billed by">{route.billing === "free" ? "free" : route.billing}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length === 0 && <Text c="dimmed" ta="center" p="lg">No route fits.</Text>}
    </Section>
  );
}
