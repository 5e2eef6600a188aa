/** The configuration as it is in effect, and what a change of each setting needs. */
import { Alert, Code, Stack, TextInput } from "@mantine/core";
import { useList } from "../../api/queries";
import type { Setting } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { StateBadge } from "../../components/StateBadge";
import { Empty } from "../../components/States";

export default function Settings() {
  const settings = useList("GET /admin/v1/settings");
  const { values, set } = useFilters(["find"]);
  const wanted = values.find.toLowerCase();
  const rows = settings.rows?.filter((setting) => setting.name.toLowerCase().includes(wanted));
  const { first } = settings;
  return (
    <>
      <PageHeader title="Settings" description="What this gateway runs with: flags, environment, file and defaults, in this order. They are changed where they are set, not here." />
      <Stack gap="lg">
        {first?.notices.map((notice) => (
          <Alert key={notice} variant="default" className="notice" icon={<Icon name="warning" />}>{notice}</Alert>
        ))}
        <Section
          title="In effect"
          description={first && <>Mira {first.version}. {first.path ? <>File: <Code>{first.path}</Code>, read again on SIGHUP.</> : "No configuration file."}</>}
          action={<TextInput type="search" size="xs" aria-label="Search settings" placeholder="Search settings" value={values.find}
            onChange={(event) => set({ find: event.currentTarget.value })} />}
          padded={false}
        >
          <DataTable label="Settings" columns={COLUMNS} pages={{ ...settings, rows }} rowKey={(setting) => setting.name}
            empty={<Empty title="No setting matches" />} />
        </Section>
      </Stack>
    </>
  );
}

const COLUMNS: readonly Column<Setting>[] = [
  { title: "Setting", render: (setting) => <code>{setting.name}</code> },
  { title: "Value", render: (setting) => <Value setting={setting} /> },
  {
    title: "A change",
    render: ({ applies }) => applies === "live"
      ? <StateBadge state="live" tone="good" label="is live on reload" />
      : <StateBadge state="restart" tone="calm" label="needs a restart" />,
  },
];

function Value({ setting: { value, secret } }: { setting: Setting }) {
  if (secret) return <span>{value ? "set, not shown" : "not set"}</span>;
  if (value === null || value === "") return <span>not set</span>;
  if (typeof value === "boolean") return <span>{value ? "on" : "off"}</span>;
  if (Array.isArray(value) && value.length === 0) return <span>none</span>;
  return <code style={{ overflowWrap: "anywhere" }}>{typeof value === "string" ? value : JSON.stringify(value)}</code>;
}
