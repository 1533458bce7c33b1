package drawn

import "math"

// golfBall is a white dimpled ball on grass, lit from the upper left.
func golfBall(x, y float64) color {
	const cx, cy, r = 0.5, 0.52, 0.33
	dx, dy := (x-cx)/r, (y-cy)/r
	d2 := float64(dx*dx) + float64(dy*dy)
	if d2 >= 1 {
		return grass(x, y, cx, cy, r)
	}
	z := math.Sqrt(1 - d2)
	// Dimples lie on a triangular grid of the ball's unrolled surface.
	u, v := float64(math.Atan2(dx, z)*6.2), float64(math.Asin(min(max(dy, -1), 1))*7.2)
	shade := 0.62 + float64(0.42*max(0, float64(-0.45*dx)+float64(-0.6*dy)+float64(0.66*z)))
	row := math.Floor(v)
	if int(row)&1 != 0 {
		u += 0.5
	}
	fu, fv := u-math.Floor(u)-0.5, v-row-0.5
	if dist := math.Sqrt(float64(fu*fu) + float64(fv*fv)); dist < 0.42 {
		depth := 1 - dist/0.42
		shade -= float64(0.10*depth) + float64(0.16*depth*(float64(-fu)+float64(-fv)))
	}
	shade *= 0.72 + float64(0.28*z)
	return color{shade, shade, float64(shade * 0.98)}
}

// grass is blades of green with the ball's shadow.
func grass(x, y, cx, cy, r float64) color {
	fine := valueNoise(float64(x*150), float64(y*40))
	coarse := valueNoise(float64(x*60)+9, float64(y*22)+float64(6*x))
	n := float64(0.55*fine) + float64(0.45*coarse)
	c := mixColor(color{0.10, 0.27, 0.05}, color{0.42, 0.62, 0.20}, n)
	dx, dy := (x-cx-0.06)/(r*1.1), (y-cy-float64(r*0.9))/(r*0.35)
	if d := float64(dx*dx) + float64(dy*dy); d < 1 {
		c = mixColor(c, color{0.04, 0.10, 0.02}, float64(0.8*(1-d)))
	}
	return c
}

// parachute is a striped canopy with lines and a jumper below it, before a blue sky.
func parachute(x, y float64) color {
	const cx, cy, rx, ry = 0.5, 0.40, 0.34, 0.26
	dx, dy := (x-cx)/rx, (y-cy)/ry
	// The canopy is the upper half of an ellipse, striped in gores.
	const gores = 8
	if dy <= 0.02 && float64(dx*dx)+float64(dy*dy) < 1 {
		w := math.Sqrt(max(1-float64(dy*dy), 1e-6))
		t := min(max(dx/w, -1), 1)
		angle := float64((math.Asin(t)/math.Pi + 0.5) * gores)
		gore := int(angle)
		f := angle - math.Floor(angle)
		shade := 0.72 + float64(0.35*float64(4*f*(1-f))) - float64(0.18*(dx+dy))
		c := color{0.86, 0.16, 0.12}
		if gore&1 == 0 {
			c = color{0.97, 0.95, 0.90}
		}
		return color{float64(c.r * shade), float64(c.g * shade), float64(c.b * shade)}
	}
	return rigging(x, y, cx, cy, rx)
}

// sky is blue with clouds.
func sky(x, y float64) color {
	blue := mixColor(color{0.22, 0.45, 0.80}, color{0.66, 0.80, 0.94}, y)
	cloud := float64(0.6*valueNoise(float64(x*4), float64(y*6))) + float64(0.4*valueNoise(float64(x*9)+3, float64(y*13)))
	return mixColor(blue, color{0.95, 0.96, 0.98}, float64(0.5*max(0, cloud-0.5)))
}

// rigging is the parachute's lines and the jumper, before the sky.
func rigging(x, y, cx, cy, rx float64) color {
	const jumperY = 0.78
	if y > cy && y < jumperY {
		t := (y - cy) / (jumperY - cy)
		for i := -4; i <= 4; i++ {
			lx := mix(cx+float64(rx*float64(i)/4), cx, t)
			if math.Abs(x-lx) < 0.0028 {
				return color{0.25, 0.25, 0.28}
			}
		}
	}
	hx, hy := (x-cx)/0.022, (y-jumperY)/0.026
	if float64(hx*hx)+float64(hy*hy) < 1 {
		return color{0.30, 0.20, 0.16}
	}
	bx, by := (x-cx)/0.034, (y-jumperY-0.075)/0.06
	if float64(bx*bx)+float64(by*by) < 1 {
		return color{0.12, 0.14, 0.30}
	}
	if y > jumperY+0.11 && y < jumperY+0.19 && (math.Abs(x-cx-0.016) < 0.011 || math.Abs(x-cx+0.016) < 0.011) {
		return color{0.10, 0.10, 0.16}
	}
	return sky(x, y)
}
