// The only place that loads ECharts, and only the parts of it that are used. It comes after the first paint.

import { BarChart, TreemapChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, TreemapChart, GridComponent, TooltipComponent, CanvasRenderer]);

export { init };
