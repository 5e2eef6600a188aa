import { Input, SegmentedControl, Select, Stack, useMantineColorScheme } from "@mantine/core";
import { useState } from "react";
import { Section } from "../../../components/Section";
import { chooseTimeZone, chosenTimeZone, timeZone } from "../../../format/time";
import { queries } from "../../../api/queries";

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

/** The theme and the time zone, both kept in this browser. */
export function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const [zone, setZone] = useState(chosenTimeZone());
  const choose = (value: string | null) => {
    chooseTimeZone(value);
    setZone(value);
    void queries.invalidateQueries();
  };
  return (
    <Section title="This browser">
      <Stack>
        <div>
          <Input.Label component="div" id="theme">Theme</Input.Label>
          <SegmentedControl
            aria-labelledby="theme" fullWidth value={colorScheme} onChange={(value) => setColorScheme(value as "auto" | "light" | "dark")}
            data={[{ value: "auto", label: "As the system" }, { value: "light", label: "Light" }, { value: "dark", label: "Dark" }]}
          />
        </div>
        <Select
          label="Time zone" description="In which times are shown" data={ZONES} searchable clearable limit={80} value={zone}
          placeholder={`As the system: ${timeZone()}`} onChange={choose} clearButtonProps={{ "aria-label": "As the system" }}
        />
      </Stack>
    </Section>
  );
}
